/**
 * What the databases in this folder were given, version by version: something in each table, in every state, with what is
 * optional and without. Where a later version knows more of a thing, what its migration makes of the old ones goes here.
 */
import type {
  StoredChange,
  StoredDelivery,
  StoredMessage,
  StoredSession,
  StoredSubscription,
} from "../../../../src/broker/ports.ts"

const text = (value: string) => new TextEncoder().encode(value)

const plainMessage: StoredMessage = {
  id: 1,
  topic: "plain",
  payload: text("on"),
  qos: 1,
  retain: false,
  properties: text(""),
  expirySeconds: undefined,
  expiresAt: undefined,
}
const fullMessage: StoredMessage = {
  id: 2,
  topic: "ü/\u{1f642}/it's",
  payload: new Uint8Array([0, 1, 127, 128, 255]),
  qos: 2,
  retain: true,
  properties: text("\u0003\u0000\u0004text"),
  expirySeconds: 0xffff_ffff,
  expiresAt: 1_700_000_000_123,
}
const emptyMessage: StoredMessage = { ...plainMessage, id: 3, topic: "empty", payload: text(""), qos: 0 }
const laterMessage: StoredMessage = { ...plainMessage, id: 4, topic: "later", retain: true }

const session = (fields: Partial<StoredSession> & { clientId: string }): StoredChange => ({
  kind: "session",
  session: {
    username: undefined,
    expirySeconds: 3600,
    disconnectedAt: 1_700_000_000_456,
    will: undefined,
    ...fields,
  },
})
const subscribed = (fields: Partial<StoredSubscription> & { topicFilter: string }): StoredChange => ({
  kind: "subscribed",
  subscription: {
    clientId: "away",
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...fields,
  },
})
const queued = (sequence: number, message: StoredMessage, fields: Partial<StoredDelivery> = {}): StoredChange => ({
  kind: "queued",
  delivery: {
    owner: "away",
    sequence,
    message,
    qos: 1,
    retain: false,
    identifiers: undefined,
    group: undefined,
    packetId: undefined,
    bytes: 210,
    ...fields,
  },
})

const group = "$share/group/plain"
const will = {
  topic: "will",
  payload: text("bye\u0000"),
  qos: 2,
  retain: true,
  properties: text("\u0001\u0001"),
} as const

const first: readonly StoredChange[] = [
  session({ clientId: "away" }),
  session({ clientId: "connected", expirySeconds: 0xffff_ffff, disconnectedAt: undefined }),
  session({ clientId: "ü", will: { ...will, expirySeconds: 60, delaySeconds: 30 } }),
  session({ clientId: "", will: { ...will, payload: text(""), expirySeconds: undefined, delaySeconds: 0 } }),
  subscribed({ topicFilter: "plain" }),
  subscribed({ topicFilter: "+/\u{1f642}/#", qos: 2, noLocal: true, retainHandling: 2, identifier: 268_435_455 }),
  subscribed({ topicFilter: group, qos: 1, retainAsPublished: true, retainHandling: 1 }),
  subscribed({ clientId: "connected", topicFilter: "plain", qos: 1 }),
  { kind: "received", clientId: "away", packetId: 1 },
  { kind: "received", clientId: "connected", packetId: 65_535 },
  queued(1, plainMessage),
  queued(2, fullMessage, { qos: 2 }),
  queued(3, plainMessage, { group }),
  queued(4, fullMessage, { qos: 2, retain: true, identifiers: [1, 268_435_455] }),
  queued(5, emptyMessage, { group }),
  queued(-1, plainMessage, { owner: group }),
  queued(7, fullMessage, { owner: group, identifiers: [3] }),
  queued(1, plainMessage, { owner: "connected", bytes: 1_073_741_824 }),
  { kind: "sent", owner: "away", sequence: 1, packetId: 1 },
  { kind: "sent", owner: "away", sequence: 2, packetId: 65_535 },
  { kind: "released", owner: "away", sequence: 2 },
  { kind: "sent", owner: "away", sequence: 3, packetId: 7 },
  { kind: "retained", message: fullMessage },
  { kind: "retained", message: laterMessage },
  { kind: "total", name: "bytesReceived", value: 9_007_199_254_740_991 },
  { kind: "total", name: "clientsMaximum", value: 0 },
]

/** In the order of the versions, the first one being 1. */
export const contents: readonly (readonly StoredChange[])[] = [
  first,
  [
    ...first, // sessions of which nobody knows whose they are
    session({ clientId: "away", username: "it's \u{1f642}" }),
    session({ clientId: "connected", expirySeconds: 0xffff_ffff, disconnectedAt: undefined, username: null }),
    session({ clientId: "nameless", username: "" }),
  ],
]

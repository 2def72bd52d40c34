/** Things as a store keeps them: random ones, and what a store holds in a form in which two stores can be compared. */
import type {
  Stored,
  StoredDelivery,
  StoredMessage,
  StoredSession,
  StoredSubscription,
  StoredWill,
} from "../../src/broker/ports.ts"
import type { QoS, RetainHandling } from "../../src/codec/index.ts"
import type { Random } from "./bytes.ts"

const FIRST = Number.MIN_SAFE_INTEGER
/** Text that quoting or counting might get wrong. */
const awkward = ["", "a\0b", '"', "\\", "\u2028", "'", "__proto__", "é🙂", "\ud7ff\ue000\uffff", "null"]

const text = (random: Random) => (random.chance(0.3) ? random.pick(awkward) : random.text(random.below(20)))
const bytes = (random: Random) => {
  const length = random.pick([0, 0, 1, random.below(300)])
  return random.bytes(length + 10).subarray(5, 5 + length) // part of a larger buffer, as what comes from a socket
}
const qos = (random: Random) => random.below(3) as QoS
const maybe = <T>(random: Random, value: T): T | undefined => (random.chance(0.5) ? value : undefined)

/** What is optional in it is there every second time; so for all of these. */
export function randomMessage(random: Random, id: number, topic = text(random)): StoredMessage {
  const expirySeconds = maybe(random, random.below(0x7fff_ffff))
  return {
    id,
    topic,
    payload: bytes(random),
    qos: qos(random),
    retain: random.chance(0.5),
    properties: bytes(random),
    expirySeconds,
    expiresAt: expirySeconds === undefined ? undefined : 1_700_000_000_000 + expirySeconds * 1000,
  }
}

export function randomWill(random: Random): StoredWill {
  return {
    topic: text(random),
    payload: bytes(random),
    qos: qos(random),
    retain: random.chance(0.5),
    properties: bytes(random),
    expirySeconds: maybe(random, random.below(0x7fff_ffff)),
    delaySeconds: random.pick([0, 1, 0xffff_ffff]),
  }
}

export function randomSession(random: Random, clientId = text(random)): StoredSession {
  return {
    clientId,
    username: random.pick([undefined, null, text(random)]),
    expirySeconds: random.pick([0, 1, 0xffff_fffe, 0xffff_ffff]),
    disconnectedAt: maybe(random, 1_700_000_000_000 + random.below(0x7fff_ffff)),
    will: maybe(random, randomWill(random)),
  }
}

export function randomSubscription(
  random: Random,
  clientId = text(random),
  topicFilter = text(random),
): StoredSubscription {
  return {
    clientId,
    topicFilter,
    qos: qos(random),
    noLocal: random.chance(0.5),
    retainAsPublished: random.chance(0.5),
    retainHandling: random.below(3) as RetainHandling,
    identifier: maybe(random, random.between(1, 268_435_455)),
  }
}

/** One that waits. */
export function randomDelivery(
  random: Random,
  owner: string,
  sequence: number,
  message: StoredMessage,
): StoredDelivery & { message: StoredMessage } {
  return {
    owner,
    sequence,
    message,
    qos: random.between(1, 2) as QoS,
    retain: random.chance(0.5),
    identifiers: maybe(random, [random.between(1, 268_435_455), 1].slice(0, random.between(1, 2))),
    group: maybe(random, "$share/g/é"),
    packetId: undefined,
    bytes: random.below(100_000),
  }
}

/** A copy in which every string of bytes is hexadecimal and nothing undefined is left. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${value.toHex()}`
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== "object") return value
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  return Object.fromEntries(entries.map(([name, each]) => [name, plain(each)]))
}

/** Everything that a store holds: what `load` gives, and the deliveries that wait in every queue. */
export async function contentsOf(store: {
  load(): Iterable<Stored> | AsyncIterable<Stored>
  page(owner: string, after: number, limit: number): StoredDelivery[] | Promise<StoredDelivery[]>
}) {
  const items = await Array.fromAsync(store.load())
  const of = <K extends Stored["kind"]>(kind: K, name: (item: Extract<Stored, { kind: K }>) => string) =>
    items
      .filter((item): item is Extract<Stored, { kind: K }> => item.kind === kind)
      .sort((a, b) => (name(a) < name(b) ? -1 : 1))
  const inflight = of("inflight", ({ delivery }) => `${delivery.owner}\0${delivery.sequence}`)
  const queues = of("queue", ({ queue }) => queue.owner).map(({ queue }) => queue)
  const waiting = (await Promise.all(queues.map(({ owner }) => store.page(owner, FIRST, 1_000_000)))).flat()
  return plain({
    sessions: of("session", ({ session }) => session.clientId),
    subscriptions: of("subscribed", ({ subscription }) => `${subscription.clientId}\0${subscription.topicFilter}`),
    received: of("received", ({ clientId, packetId }) => `${clientId}\0${packetId}`),
    inflight,
    // A queue in which nothing has a sequence above 0 has none to go on from, whether the store tells of it or not.
    queues: queues
      .map((queue) => ({ ...queue, lastSequence: Math.max(0, queue.lastSequence) }))
      .filter(({ count, lastSequence }) => count > 0 || lastSequence > 0),
    waiting,
    retained: of("retained", ({ message }) => message.topic),
    totals: of("total", ({ name }) => name),
  }) as Record<
    "sessions" | "subscriptions" | "received" | "inflight" | "queues" | "waiting" | "retained" | "totals",
    object[]
  >
}

/** The ids of all messages that something refers to. */
export function messageIdsIn(contents: Awaited<ReturnType<typeof contentsOf>>): number[] {
  const ids = new Set<number>()
  const look = (value: unknown) => {
    if (value === null || typeof value !== "object") return
    for (const [name, each] of Object.entries(value)) {
      if (name === "message") ids.add((each as { id: number }).id)
      look(each)
    }
  }
  look(contents)
  return [...ids].sort((a, b) => a - b)
}

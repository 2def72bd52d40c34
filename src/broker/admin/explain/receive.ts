/** Whether a client gets a message that is published. */
import { LARGEST_PACKET_BYTES, type QoS } from "../../../codec/index.ts"
import { matches, type Subscription, type Topic } from "../../../router/index.ts"
import type { Session } from "../../../session/index.ts"
import type { Core } from "../../core.ts"
import type { ExplanationSide } from "../../explanation.ts"
import type { Peer } from "../../peer.ts"
import { slicesOf } from "../page.ts"
import { addClient, addPermission } from "./client.ts"
import { counted, Findings, some } from "./findings.ts"
import { addHistory } from "./history.ts"

const MOST_SHOWN = 10
const MOST_OTHERS = 3

/** `from`: who publishes it; undefined: anybody. */
export async function explainReceive(
  core: Core,
  clientId: string,
  topic: Topic,
  from: string | undefined,
): Promise<ExplanationSide> {
  const findings = new Findings(clientId)
  const session = core.sessions.get(clientId)
  const subscriptions = session === undefined ? [] : await matching(session, topic)
  const peer = core.clients.get(clientId)
  const mountPoint = peer?.serving.limits.mountPoint ?? ""
  addClient(findings, core, clientId, { away: "note", gone: "stops" })
  if (session !== undefined) {
    if (subscriptions.length === 0) await addAbsence(findings, session, peer, topic)
    else {
      addSubscriptions(findings, session, subscriptions, from)
      if (peer === undefined) addOffline(findings, subscriptions)
      else await addWay(findings, core, peer, topic)
      addRoom(findings, core, session, peer, subscriptions)
      addRetained(findings, core, subscriptions, peer, topic)
    }
  }
  addHistory(findings, core, clientId, topic.name, "receive", { mountPoint })
  for (const { filter, group } of subscriptions) {
    if (group !== undefined) addHistory(findings, core, filter.text, topic.name, "receive")
  }
  const { name } = topic
  return findings.side({
    yes: `gets messages of ${name}`,
    perhaps: `may get messages of ${name}, or may not`,
    no: `gets no messages of ${name}`,
  })
}

function matching({ subscriptions }: Session, { name }: Topic): Promise<Subscription<Session>[]> {
  return chosen(subscriptions.values(), ({ filter }) => matches(filter.pattern, name))
}

/** Those of which it is so. A client may have thousands of subscriptions, and nobody waits for all of them. */
async function chosen<Each>(all: Iterable<Each>, isSo: (each: Each) => boolean): Promise<Each[]> {
  const found: Each[] = []
  for await (const slice of slicesOf(all)) for (const each of slice) if (isSo(each)) found.push(each)
  return found
}

/** No subscription matches: whether there could be one, and what comes near. */
async function addAbsence(findings: Findings, session: Session, peer: Peer | undefined, topic: Topic): Promise<void> {
  const { name } = topic
  const filters = Array.from(session.subscriptions.values(), ({ filter }) => filter)
  const texts = filters.map(({ text }) => text)
  findings.add("stops", "no subscription", whyNone(texts, name))
  const plain = plainly(name)
  const similar = await chosen(filters, ({ pattern }) => matches(plainly(pattern), plain))
  if (name.startsWith("$")) {
    const wild = filters.filter(({ pattern }) => /^[+#]/.test(pattern)).map(({ text }) => text)
    if (wild.length > 0) {
      const words = `a filter that begins with a wildcard, as ${some(wild)}, matches no topic that begins with $`
      findings.add("note", "wildcards and $ topics", words)
    }
  } else if (similar.length > 0) {
    findings.add(
      "note",
      "similar subscription",
      `${some(similar.map(({ text }) => text))} comes near: capital letters, spaces and every / count`,
    )
  }
  if (peer !== undefined) await addPermission(findings, peer, "subscribe", name)
}

function whyNone(texts: readonly string[], name: string): string {
  if (texts.length === 0) return "it is subscribed to nothing"
  if (texts.length === 1) return `its only subscription, ${texts[0]}, does not match ${name}`
  return `none of its ${texts.length.toLocaleString("en")} subscriptions matches ${name}: it has ${some(texts)}`
}

/** As people think of topics. */
function plainly(topic: string): string {
  return topic
    .toLowerCase()
    .replaceAll(/\s/g, "")
    .replaceAll(/\/+/g, "/")
    .replaceAll(/^\/|\/$/g, "")
}

function addSubscriptions(
  findings: Findings,
  session: Session,
  subscriptions: readonly Subscription<Session>[],
  from: string | undefined,
): void {
  for (const { filter, options, group } of subscriptions.slice(0, MOST_SHOWN)) {
    const { qos, noLocal } = options
    findings.add(
      "passes",
      "subscription",
      `its subscription ${filter.text} matches, at QoS ${qos}${noLocal ? ", No Local" : ""}`,
    )
    if (group === undefined || group.size === 1) continue
    const others = group.subscribers().filter((each) => each !== session)
    const names = Array.from(others.take(MOST_OTHERS + 1), ({ clientId }) => clientId)
    const whom = some(names, MOST_OTHERS, "or", group.size - 1)
    const words = `of what ${filter.text} matches each message goes to one member alone: to it, or to ${whom}`
    findings.add("may stop", "share group", words)
  }
  if (subscriptions.length > MOST_SHOWN) {
    findings.add(
      "note",
      "subscription",
      `${counted(subscriptions.length - MOST_SHOWN, "more subscription")} of its match`,
    )
  }
  const own = subscriptions.filter(({ filter }) => filter.shareName === undefined)
  if (own.length === 0 || !subscriptions.every(({ options }) => options.noLocal)) return
  const isOwn = from === session.clientId
  const words = "its subscription leaves out what it publishes itself (No Local)"
  if (isOwn || from === undefined) findings.add(isOwn ? "stops" : "note", "no local", words)
}

function addOffline(findings: Findings, subscriptions: readonly Subscription<Session>[]): void {
  const qos = highest(subscriptions)
  if (qos === 0) {
    findings.add(
      "stops",
      "offline",
      "it is not connected, and at QoS 0, which its subscription asks for, nothing waits for it",
    )
  } else {
    findings.add(
      "may stop",
      "offline",
      "it is not connected: messages of QoS 1 and 2 wait for it, those of QoS 0 it misses",
    )
  }
}

/** What a message meets between the router and the client's socket. */
async function addWay(findings: Findings, core: Core, peer: Peer, { name }: Topic): Promise<void> {
  const { mountPoint } = peer.serving.limits
  if (mountPoint !== "") {
    const isBelow = name.startsWith(mountPoint) && name !== mountPoint
    const words = `it sees topics below ${mountPoint} alone, the mount point of its listener`
    if (isBelow) findings.add("note", "mount point", `${words}, and calls this one ${name.slice(mountPoint.length)}`)
    else findings.add("stops", "mount point", words)
  }
  await addPermission(findings, peer, "receive", name)
  if (core.hooks.deliver !== undefined) {
    findings.add("may stop", "hooks", "hooks of the service decide on every message that it gets")
  }
}

/** Windows, queues and backlogs. */
function addRoom(
  findings: Findings,
  core: Core,
  session: Session,
  peer: Peer | undefined,
  subscriptions: readonly Subscription<Session>[],
): void {
  const { limits } = core
  const qos = highest(subscriptions)
  if (peer !== undefined) addConnectionRoom(findings, core, session, peer, qos)
  const { queuedCount, queuedBytes } = session
  if (qos === 0) return
  const isFull = queuedCount >= limits.maximumQueuedMessages || queuedBytes >= limits.maximumQueuedBytes
  const queue = `its queue (${counted(queuedCount, "message")}, ${counted(queuedBytes, "byte")})`
  // What is sent at once needs no place in it.
  const effect = session.isReadyFor(1) ? "note" : peer === undefined ? "stops" : "may stop"
  if (isFull) findings.add(effect, "queue", `${queue} is full: what does not go out at once is dropped`)
  else if (core.queueBytes >= limits.maximumQueueMemoryBytes) {
    findings.add(effect, "queue", "the memory for all queues is full: what does not go out at once is dropped")
  } else if (queuedCount > 0 && peer !== undefined) findings.add("note", "queue", `${queue} has to go out first`)
  if (!core.isReady) findings.add("may stop", "store", "the store fails: what waits in it cannot be read")
}

function addConnectionRoom(findings: Findings, { limits }: Core, session: Session, peer: Peer, qos: QoS): void {
  const { backlogBytes, maximumPacketBytes, receiveMaximum } = peer
  if (!peer.isWritable) {
    const words = `it does not read: ${counted(backlogBytes, "byte")} wait for its socket, QoS 0 is dropped meanwhile, and QoS 1 and 2 wait`
    findings.add(qos === 0 ? "stops" : "may stop", "backlog", words)
  } else if (backlogBytes > 0) findings.add("note", "backlog", `${counted(backlogBytes, "byte")} wait for its socket`)
  const window = Math.min(receiveMaximum, limits.maximumInflight)
  if (session.inflightCount >= window) {
    const words = `it has not acknowledged ${counted(session.inflightCount, "message")}, and takes ${window} at once: more of QoS 1 and 2 waits until it does`
    findings.add("may stop", "receive maximum", words)
  }
  if (maximumPacketBytes < LARGEST_PACKET_BYTES) {
    findings.add(
      "note",
      "packet size",
      `it takes packets of ${counted(maximumPacketBytes, "byte")} at most: a larger message is dropped`,
    )
  }
  if (qos < 2) {
    const granted = peer.serving.limits.maximumQoS === qos ? ", the most that its listener grants" : ""
    findings.add("note", "QoS", `what is published with a higher QoS comes to it with QoS ${qos}${granted}`)
  }
}

/** What it would be sent when it subscribes. */
function addRetained(
  findings: Findings,
  { retained }: Core,
  subscriptions: readonly Subscription<Session>[],
  peer: Peer | undefined,
  { name }: Topic,
): void {
  const message = retained.get(name)
  if (message === undefined) return
  const isAsked = subscriptions.some(
    ({ filter, options }) => filter.shareName === undefined && options.retainHandling < 2,
  )
  const unasked = isAsked ? "" : ", which its subscriptions do not ask for"
  findings.add(
    "note",
    "retained message",
    `a message of ${counted(message.payloadBytes, "byte")} is retained there${unasked}`,
  )
  if (peer !== undefined && message.payloadBytes > peer.maximumPacketBytes) {
    findings.add("may stop", "packet size", "the retained message is larger than it takes")
  }
}

function highest(subscriptions: readonly Subscription<Session>[]): QoS {
  return Math.max(...subscriptions.map(({ qos }) => qos)) as QoS
}

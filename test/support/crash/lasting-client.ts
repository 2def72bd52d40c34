/**
 * A client with a session that lasts, as the specifications demand it: what it has published and not seen acknowledged it
 * publishes again, or goes on at PUBREL; of QoS 2 it remembers what it has, whatever happens to its connection.
 *
 * It is as difficult as a client may be: it acknowledges late or never, loses its connection or what comes over it, takes
 * itself over, subscribes and unsubscribes, and sometimes ends its session. All that it sees goes into a `Ledger`.
 */
import type mqtt from "mqtt-packet"
import { RawClient, type Received } from "../../listeners/socket.ts"
import type { Random } from "../bytes.ts"
import type { Account } from "./account.ts"
import { Claim } from "./claim.ts"
import type { Ledger } from "./ledger.ts"
import { contentTypeOf, type Message, numberIn, payloadOf } from "./message.ts"
import type { Role } from "./role.ts"

/** A message of QoS 1 or 2 that is not acknowledged to the end. */
interface Flow {
  readonly message: Message
  isReceived: boolean
}

/** A SUBSCRIBE or UNSUBSCRIBE that is not acknowledged. */
interface Request {
  readonly topicFilter: string
  onAcknowledged(reason: number): void
}

/** Few, so that they are used again soon. */
const PACKET_IDS = 60
const EXPIRY_SECONDS = 3600
const SHUTTING_DOWN = 0x8b
const TAKEN_OVER = 0x8e
const NO_SUBSCRIPTION = 0x11

export class LastingClient {
  readonly role: Role
  readonly account: Account
  /** How many messages it may still publish by itself. */
  allowance = 0
  /** Whether it has only to come to an end with what it has begun. */
  isSettling = false

  private socket: RawClient | undefined
  private readonly connections = new Set<Promise<void>>()
  private greet: () => void = () => {}
  private isIn = false
  /** Nothing that comes reaches it any more. */
  private isDeaf = false
  private acknowledges: "at once" | "late" | "never" = "at once"
  private held: mqtt.Packet[] = []
  /** How many messages it has on their way at once. */
  private window = 1
  private pongs: (() => void)[] = []
  private requests = new Map<number, Request>()

  private readonly claim: Claim
  private readonly flows = new Map<number, Flow>()
  /** What has come at QoS 2 under each packet id whose PUBREL has not. */
  private readonly unreleased = new Map<number, string>()
  private lastId = 0
  private readonly ledger: Ledger
  private readonly random: Random

  constructor(role: Role, ledger: Ledger, random: Random) {
    this.role = role
    this.ledger = ledger
    this.random = random
    this.account = ledger.open(role)
    this.claim = new Claim(role, random)
  }

  /** Whether everything that it has begun has come to its end. */
  get isSettled(): boolean {
    return this.flows.size === 0 && this.requests.size === 0 && this.unreleased.size === 0 && this.held.length === 0
  }

  /** Connects; resolves when the CONNACK is there or the connection has gone. */
  connect(port: number): Promise<void> {
    const greeted = Promise.withResolvers<void>()
    const connection = this.live(port, greeted.resolve)
      .catch((error) => this.account.report(`fails: ${error}`))
      .finally(() => {
        greeted.resolve()
        this.connections.delete(connection)
      })
    this.connections.add(connection)
    return greeted.promise
  }

  /** Connects until its session is one that lasts, and from then on is no trouble to anybody. */
  async settle(port: number): Promise<void> {
    this.isSettling = true
    do {
      this.leave()
      await this.connect(port)
      if (!this.isIn) throw new Error(`${this.role.name} cannot connect`)
    } while (!this.claim.isLasting)
  }

  /** Resolves when all its connections have ended. */
  async gone(): Promise<void> {
    await Promise.all(this.connections)
  }

  /** Resolves when the broker has answered: what it had sent before has come, what came before it has seen. */
  ping(): Promise<void> {
    const pong = Promise.withResolvers<void>()
    this.pongs.push(pong.resolve)
    this.send({ cmd: "pingreq" })
    return pong.promise
  }

  /** Does something that a client may do at any time. */
  act(port: number): void {
    const { random } = this
    if (this.socket === undefined && random.chance(0.04)) this.connect(port)
    if (!this.isIn) return
    if (this.acknowledges === "late") for (const ack of this.held.splice(0, random.below(20))) this.send(ack)
    const dice = random.below(100)
    if (dice < 30) this.changeSubscription()
    else if (dice < 34) this.isDeaf = true
    else if (dice < 39) this.leave()
    else if (dice < 41) this.connect(port) // takes itself over
  }

  subscribe(topicFilter: string, qos: 1 | 2 = this.random.pick(this.role.qos ?? [1, 2, 2])): void {
    const { role, account } = this
    if (this.isAsking(topicFilter)) return
    const operation = account.ask(topicFilter, "subscribe", qos)
    const messageId = this.request(topicFilter, (granted) => {
      account.acknowledged(operation)
      if (granted !== qos) account.report(`was granted 0x${granted.toString(16)} for ${topicFilter}, not ${qos}`)
    })
    const options = { nl: role.noLocal, rap: role.retainAsPublished, rh: this.random.below(3) }
    const subscription = { topic: topicFilter, qos, ...(role.level === 5 && options) }
    const properties = { subscriptionIdentifier: operation.identifier }
    this.send({ cmd: "subscribe", messageId, subscriptions: [subscription], ...(role.level === 5 && { properties }) })
  }

  /** Publishes one message. */
  publish(topic: string, qos: 0 | 1 | 2, retain: boolean, bytes: number): Message {
    const message = this.ledger.published(this.role, topic, qos, retain, bytes)
    const packetId = qos === 0 ? 0 : this.nextId()
    if (qos > 0) this.flows.set(packetId, { message, isReceived: false })
    this.sendPublish(message, packetId, false)
    return message
  }

  /** Ends the connection, if there is one, or breaks it. */
  private leave(): void {
    const { socket } = this
    if (socket === undefined) return
    if (this.isIn && this.random.chance(0.5)) {
      this.send({ cmd: "disconnect", reasonCode: 0 })
      socket.end()
    } else socket.destroy()
    this.lose()
  }

  private async live(port: number, greet: () => void): Promise<void> {
    let socket: RawClient
    try {
      socket = await RawClient.open(port, this.role.level)
    } catch {
      return // the broker is dead already
    }
    this.begin(socket, greet)
    do {
      await socket.until(() => socket.packets.length > 0 || socket.hasEnded, "anything")
      for (const packet of socket.take()) if (this.socket === socket && !this.isDeaf) this.hear(packet)
    } while (!socket.hasEnded)
    socket.destroy()
    if (this.socket === socket) this.lose()
  }

  private begin(socket: RawClient, greet: () => void): void {
    const { role, claim, random, isSettling } = this
    this.lose()
    this.socket = socket
    this.greet = greet
    this.isDeaf = false
    this.acknowledges = isSettling ? "at once" : random.pick(["at once", "at once", "late", "late", "never"])
    this.window = random.between(1, 24)
    if (role.isFickle && !isSettling) claim.waver()
    const clean = claim.ask()
    if (clean || !claim.isLasting) this.account.askEnd()
    const sessionExpiryInterval = claim.isLasting ? EXPIRY_SECONDS : 0
    const properties = { sessionExpiryInterval, ...(role.receiveMaximum && { receiveMaximum: role.receiveMaximum }) }
    socket.sendConnect(role.name, { clean, ...(role.level === 5 && { properties }) })
  }

  /** There is no connection any more, and whatever had only to do with it is forgotten. */
  private lose(): void {
    this.socket = undefined
    this.isIn = false
    this.held = []
    this.requests = new Map()
    for (const resolve of this.pongs.splice(0)) resolve()
  }

  private hear(packet: Received): void {
    const { cmd, messageId = 0, reasonCode = 0 } = packet
    const isRefusal = reasonCode >= 0x80 && ["connack", "puback", "pubrec"].includes(cmd)
    const isFarewell = cmd === "disconnect" && reasonCode !== SHUTTING_DOWN && reasonCode !== TAKEN_OVER
    if (isRefusal || isFarewell) this.account.report(`got ${cmd.toUpperCase()} 0x${reasonCode.toString(16)}`)
    if (cmd === "connack") this.onConnack(packet.sessionPresent)
    else if (cmd === "publish") this.onPublish(packet)
    else if (cmd === "pubrel") {
      this.unreleased.delete(messageId)
      this.answer("pubcomp", messageId)
    } else if (cmd === "puback" || cmd === "pubrec" || cmd === "pubcomp") this.onAcknowledgement(cmd, messageId)
    else if (cmd === "suback" || cmd === "unsuback") {
      const request = this.requests.get(messageId)
      this.requests.delete(messageId)
      request?.onAcknowledged(Number(packet.granted?.[0] ?? 0))
    } else if (cmd === "pingresp") this.pongs.shift()?.()
  }

  private onConnack(sessionPresent: boolean): void {
    const { account, claim } = this
    this.isIn = true
    if (!claim.accept(sessionPresent)) account.report(`was told: session present ${sessionPresent ? 1 : 0}`)
    if (!sessionPresent) {
      this.unreleased.clear()
      account.end()
    }
    if ((!sessionPresent || !claim.isLasting) && !this.role.isVisitor) this.ledger.onAcknowledged("session")
    for (const [packetId, { message, isReceived }] of this.flows) {
      if (isReceived) this.answer("pubrel", packetId)
      else {
        this.ledger.publishedAgain(message)
        this.sendPublish(message, packetId, true)
      }
    }
    if (claim.isLasting || this.role.isVisitor) this.subscribeWhereNeeded(sessionPresent)
    this.publishMore()
    this.greet()
  }

  /** Subscribes to everything in a session that is new; else where it does not know whether it has. */
  private subscribeWhereNeeded(sessionPresent: boolean): void {
    for (const topicFilter of this.role.topicFilters ?? []) {
      const isUnknown = this.stateOf(topicFilter) === "unknown" && (this.isSettling || this.random.chance(0.7))
      if (!sessionPresent || isUnknown) this.subscribe(topicFilter)
    }
  }

  private onPublish(packet: Received): void {
    const { account, unreleased } = this
    const { qos, messageId = 0, topic, payload } = packet
    const known = qos === 2 ? unreleased.get(messageId) : undefined
    const name = `${topic} ${numberIn(payload)}`
    if (known === undefined) {
      if (qos === 2) unreleased.set(messageId, name)
      account.arrived(packet)
    } else if (known !== name) account.report(`got ${name} under packet id ${messageId}, which stands for ${known}`)
    if (qos > 0) this.answer(qos === 1 ? "puback" : "pubrec", messageId)
  }

  private onAcknowledgement(cmd: "puback" | "pubrec" | "pubcomp", packetId: number): void {
    const flow = this.flows.get(packetId)
    if (flow === undefined) return
    if (cmd !== "pubcomp" && !flow.isReceived) this.ledger.acknowledged(flow.message)
    if (cmd === "pubrec") {
      flow.isReceived = true
      this.answer("pubrel", packetId)
    } else {
      this.flows.delete(packetId)
      this.publishMore()
    }
  }

  /** Publishes until its window is full. */
  private publishMore(): void {
    const { random } = this
    const { topics = [], retainedTopics = [] } = this.role
    while (this.isIn && topics.length > 0 && this.allowance > 0 && this.flows.size < this.window) {
      this.allowance--
      const bytes = random.pick([20, 20, 100, 100, 100, 300, 2000, random.chance(0.03) ? 40_000 : 1000])
      if (retainedTopics.length > 0 && random.chance(0.15)) {
        this.publish(random.pick(retainedTopics), random.pick([0, 1, 1, 1]), true, random.chance(0.3) ? 0 : bytes)
      } else this.publish(random.pick(topics), random.pick([1, 2]), false, bytes)
    }
  }

  private sendPublish(message: Message, messageId: number, dup: boolean): void {
    const { topic, qos, retain } = message
    const properties = this.role.level === 5 && { properties: { contentType: contentTypeOf(message) } }
    this.send({ cmd: "publish", topic, payload: payloadOf(message), qos, retain, dup, messageId, ...properties })
  }

  /** Subscribes, again or anew, or unsubscribes. */
  private changeSubscription(): void {
    const { role, account, claim, random } = this
    if (!claim.isLasting || role.topicFilters === undefined) return
    const topicFilter = random.pick(role.topicFilters)
    const state = this.stateOf(topicFilter)
    if (state === "off" || account.history(topicFilter).isShared || random.chance(0.75)) {
      this.subscribe(topicFilter)
      return
    }
    if (this.isAsking(topicFilter)) return
    const operation = account.ask(topicFilter, "unsubscribe")
    const messageId = this.request(topicFilter, (reason) => {
      account.acknowledged(operation)
      const isTrue = role.level === 4 || state === "unknown" || reason === (state === "on" ? 0 : NO_SUBSCRIPTION)
      if (!isTrue) account.report(`was ${state} ${topicFilter} and got UNSUBACK 0x${reason.toString(16)}`)
    })
    this.send({ cmd: "unsubscribe", messageId, unsubscriptions: [topicFilter] })
  }

  private stateOf(topicFilter: string): "on" | "off" | "unknown" {
    const now = this.ledger.now()
    const history = this.account.history(topicFilter)
    if (history.certain(now, now) !== undefined) return "on"
    return history.possible(now, now).length === 0 ? "off" : "unknown"
  }

  private isAsking(topicFilter: string): boolean {
    return [...this.requests.values()].some((request) => request.topicFilter === topicFilter)
  }

  private request(topicFilter: string, onAcknowledged: Request["onAcknowledged"]): number {
    const packetId = this.nextId()
    this.requests.set(packetId, { topicFilter, onAcknowledged })
    return packetId
  }

  private nextId(): number {
    do this.lastId = (this.lastId % PACKET_IDS) + 1
    while (this.flows.has(this.lastId) || this.requests.has(this.lastId))
    return this.lastId
  }

  /** Acknowledges, as soon as this client does. */
  private answer(cmd: "puback" | "pubrec" | "pubrel" | "pubcomp", messageId: number): void {
    if (this.acknowledges === "at once") this.send({ cmd, messageId })
    else if (this.acknowledges === "late") this.held.push({ cmd, messageId })
  }

  private send(packet: object): void {
    this.socket?.send(packet as mqtt.Packet)
  }
}

/**
 * The connection's own knowledge and its sending half: what is known of the client, the outbox, and every packet that the
 * broker sends. The handlers (`connect`, `publish`, `subscribe`) read a packet each and act through this.
 *
 * A link is also the `Outlet` of its session. A PUBLISH takes the short road, bytes shared by all receivers, whenever
 * nothing in it is the receiver's own; otherwise it is encoded straight into the outbox.
 */
import { ApplicationMessage } from "../broker/application-message.ts"
import type { Core } from "../broker/core.ts"
import type { ConnectedClient, Disconnection } from "../broker/hooks.ts"
import type { Attempt } from "../broker/offenders.ts"
import type { Peer } from "../broker/peer.ts"
import type { Admission, Auth, Authority, Client, Connecting } from "../broker/ports.ts"
import type { Serving } from "../broker/serving.ts"
import type { Timer } from "../broker/timers.ts"
import {
  type AckType,
  type Connect,
  encodeAck,
  encodeDisconnect,
  isEncodable,
  LARGEST_PACKET_BYTES,
  PacketType,
  type Properties,
  type ProtocolLevel,
  type QoS,
  Reason,
  reasonText,
  Writer,
} from "../codec/index.ts"
import type { Topic } from "../router/index.ts"
import { type DropReason, type Message, type Outlet, packetIdAt, type Sending, type Session } from "../session/index.ts"
import { IncomingAliases, OutgoingAliases } from "./aliases.ts"
import type { EnhancedAuthentication } from "./authentication.ts"
import { ClientView } from "./client-view.ts"
import { endsPublish, HeldAcks, type HoldingLink } from "./held-acks.ts"
import { sayClosing, sayDisconnected, whoOf } from "./lines.ts"
import { type BlockPool, Outbox } from "./outbox.ts"
import { encodeOwn } from "./own.ts"
import { Permissions } from "./permissions.ts"
import { Receiving } from "./receiving.ts"
import { recheck } from "./recheck.ts"
import { tap } from "./tap.ts"
import type { Transport } from "./transport.ts"

/** Whom a hook has let in, where no auth is: nobody has an opinion on what it does. */
const everything: Authority = {}
/** How a connection ends of which nobody has said so. */
const broken: Disconnection = { reason: undefined, by: "network" }
/** How long a closed connection may take to read its last bytes. */
const LINGER_MS = 2000

/** `waiting` for CONNECT, `authenticating` by AUTH packets, `open`, `closing` (nothing is read any more), `closed`. */
export type LinkState = "waiting" | "authenticating" | "open" | "closing" | "closed"

/** Idle ones are many: what only CONNECT needs goes with it, what few need is made for them. A 39th field would cost 128 bytes. */
export class Link implements Outlet, Peer, HoldingLink {
  state: LinkState = "waiting"
  level: ProtocolLevel = 4
  session: Session | undefined
  client: Client | undefined
  /** What its CONNECT said, while it is being let in. */
  connect: Connect | undefined
  /** The same for whoever decides on it; of a client that may authenticate again as long as it is in. */
  connecting: Connecting | undefined
  /** Its place among those who come from there as well, until it is decided on. */
  attempt: Attempt | undefined
  authentication: EnhancedAuthentication | undefined
  /** Who decides what the client may do: the auth that has let it in, or whom that has named. */
  authority: Authority | undefined
  /** Undefined where the authority has no opinion on topics. */
  permissions: Permissions | undefined
  receiveMaximum = 0xffff
  maximumPacketBytes = LARGEST_PACKET_BYTES
  wantsProblemInformation = true
  /** Whether its CONNECT asked for a session that outlives the connection. [MQTT-3.14.2-2] */
  askedToOutlive = false
  cleanStart = false
  incomingAliases: IncomingAliases | undefined
  outgoingAliases: OutgoingAliases | undefined
  /** Somebody's answer is awaited, and nothing is read until it is there. */
  isBusy = false
  /** The client has gone, and what it has sent is still worked on. */
  hasLeft = false
  /** Decisions have changed while one was awaited that may still go by what was before: it is looked at again afterwards. */
  isRecheckDue = false
  /** When the last packet came. */
  lastReceivedAt: number
  deadline: Timer | undefined
  /** When what the client has proven is not valid any more. */
  private expiry: Timer | undefined
  /** When the client was let in. */
  connectedAt = 0
  /** As granted, in seconds; 0: none. */
  keepAliveSeconds = 0
  bytesReceived = 0
  /** PUBLISH packets from the client, and to it. */
  messagesReceived = 0
  /** `outbox.grown` is to be added. */
  messagesTransmitted = 0
  private clientView: ClientView | undefined
  /** What it has published in one second of the clock, where that is bounded. */
  rate: { readonly second: number; messages: number } | undefined
  readonly outbox: Outbox
  readonly core: Core
  readonly transport: Transport
  readonly serving: Serving
  /** Decisions on what the client may receive, where its auth makes any. */
  receiving: Receiving | undefined
  /**
   * Messages of QoS 1 and 2 that the client has sent on this connection and that are not acknowledged to the end: what
   * it counts itself, so that a flow of an earlier connection is none of them. [MQTT-3.3.4-7] MQTT 5 §4.9
   */
  unacknowledged = 0
  /** Made for the first that has to wait. */
  heldAcks: HeldAcks | undefined

  constructor(core: Core, transport: Transport, serving: Serving, pool: BlockPool) {
    this.core = core
    this.transport = transport
    this.serving = serving
    this.outbox = new Outbox(transport, core, pool)
    if (core.hooks.wants.onPacketSent) this.outbox.onWritten = tap(core.hooks, this)
    this.lastReceivedAt = core.now()
  }

  /** The client as the embedding service sees it. */
  get view(): ConnectedClient {
    this.clientView ??= new ClientView(this)
    return this.clientView
  }

  /** How the logs call it. */
  get name(): string {
    const clientId = this.client?.clientId ?? this.connecting?.clientId ?? this.connect?.clientId
    return clientId === "" ? "a client without an id" : (clientId ?? "(not connected)")
  }

  get backlogPackets(): number {
    return this.outbox.packets
  }

  get backlogBytes(): number {
    return this.outbox.backlogBytes
  }

  get isWritable(): boolean {
    return this.outbox.isWritable && this.state === "open" && this.receiving?.hasRoom !== false
  }

  /** Whether to refuse what its session must keep: the store fails, and the client can be told. */
  get cannotKeep(): boolean {
    return this.level === 5 && this.core.changes.isFailing && !this.session!.isVolatile
  }

  /** The topic that the client calls `name`: behind its mount point, save for `$SYS`, which is the broker's alone. */
  topicNamed(name: string): Topic | undefined {
    const { topics } = this.core.router
    const { mountPoint } = this.serving.limits
    if (mountPoint === "" || name === "" || name === "$SYS" || name.startsWith("$SYS/")) return topics.named(name)
    return topics.named(mountPoint + name)
  }

  /** An auth that throws or rejects has refused, and it is said. */
  authFailed(error: unknown, topicName?: string): false {
    return this.core.authFailed(error, whoOf(this), topicName)
  }

  /** The auth has accepted the client, or accepted it again: from here on its authority decides. */
  admit(client: Client, { authority = this.serving.auth ?? everything, expiresAt }: Partial<Admission>): void {
    this.client = client
    this.authority = authority
    this.permissions = Permissions.of(authority, client)
    // What it holds stays in order, whoever decides on what comes behind.
    if (this.receiving !== undefined) this.receiving.permissions = this.permissions
    else if (this.permissions !== undefined) this.receiving = new Receiving(this.permissions, this)
    this.expiry?.cancel()
    if (expiresAt === undefined) return
    this.expiry = this.core.timers.schedule(expiresAt, (link: Link) => link.disconnect(Reason.MaximumConnectTime), this)
  }

  /** The client's session is its own, and it is told so next. */
  welcome(session: Session): void {
    this.session = session
    this.state = "open"
    this.connectedAt = this.core.now()
    this.core.clients.set(session.clientId, this)
    const { topicAliasMaximum, outgoingTopicAliasMaximum } = this.serving.limits
    const aliases = Math.min(this.connect!.properties.topicAliasMaximum ?? 0, outgoingTopicAliasMaximum)
    this.incomingAliases = this.level === 5 ? new IncomingAliases(topicAliasMaximum) : undefined
    this.outgoingAliases = aliases > 0 ? new OutgoingAliases(aliases) : undefined
    this.askedToOutlive = (this.connect!.properties.sessionExpirySeconds ?? 0) > 0
    this.connect = undefined
    const { clientId, username } = this.client!
    this.connecting = this.authentication && { ...this.connecting!, clientId, username, password: undefined } // nothing secret
  }

  publish(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    packetId: number,
    dup: boolean,
  ): Sending {
    if (this.receiving !== undefined || this.core.hooks.hasDeliveries) {
      this.receiving ??= new Receiving(undefined, this)
      return this.receiving.take({ message, qos, retain, identifiers, packetId, dup })
    }
    const reason = this.transmit(message, qos, retain, identifiers, packetId, dup)
    return reason && { reason, message }
  }

  /** Sends a PUBLISH that the client may receive; or says why it cannot be sent. */
  transmit(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    packetId: number,
    dup: boolean,
  ): DropReason | undefined {
    const { core, outbox } = this
    if (qos === 0 && !(outbox.isWritable && this.state === "open")) return "backlog full"
    const isShared = message.isRouting && identifiers === undefined && !dup && this.outgoingAliases === undefined
    if (isShared && this.serving.limits.mountPoint === "") {
      const isLevel5 = this.level === 5
      const packet = message.isWireFor(isLevel5, qos, retain) ? message.wire : message.form(isLevel5, qos, retain)
      const { bytes, start, end } = packet
      if (end - start > this.maximumPacketBytes) return "packet too large" // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
      if (qos > 0) outbox.pushWithId(bytes, start, end, packetIdAt(bytes, start, message.topic.bytes.length), packetId)
      // Where each message is decided on, none goes out because one before it did.
      else outbox.pushStable(packet, this.receiving === undefined ? this.maximumPacketBytes : 0)
    } else {
      const reason = encodeOwn(this, message, qos, retain, identifiers, packetId, dup)
      if (reason !== undefined) return reason
    }
    const { metrics } = core
    metrics.publishSent++
    metrics.packetsSent++
    metrics.publishBytesSent += message.payloadEnd - message.payloadStart
    if (qos > 0) metrics.sentAcknowledged.count(qos, message.payloadEnd - message.payloadStart)
    this.messagesTransmitted++
    if (this.receiving !== undefined && core.hooks.wants.onDelivered !== undefined) {
      core.hooks.tell("onDelivered", ApplicationMessage.of(message, core.now(), qos, retain), this.view)
    }
    return undefined
  }

  release(packetId: number): void {
    const after = this.session!.isVolatile ? 0 : this.core.changes.appended
    this.acknowledge(PacketType.PUBREL, packetId, Reason.Success, after)
  }

  /** Sends an acknowledgement, in its order, as soon as the journal has got to `after`. */
  acknowledge(type: AckType, packetId: number, reason: Reason, after: number, explanation?: string): void {
    if (!this.isHoldingAcks && this.core.changes.durable >= after) {
      if (this.unacknowledged > 0 && endsPublish(type, reason)) this.unacknowledged--
      if (reason === Reason.Success || this.level !== 5) {
        this.outbox.pushAck((type << 4) | (type === PacketType.PUBREL ? 2 : 0), packetId)
        this.core.metrics.packetsSent++
      } else this.sendPacket(encodeAck(writer, type, 5, packetId, reason, this.ackProblem(type, reason, explanation)))
      return
    }
    const packet = encodeAck(writer, type, this.level, packetId, reason, this.ackProblem(type, reason, explanation))
    this.holdAcks().hold(packet, after, endsPublish(type, reason))
  }

  /** Sends a SUBACK or UNSUBACK, in its order, as soon as everything recorded so far is durable, unless it only refuses. */
  acknowledgeWith(packet: Buffer): void {
    const { appended, durable } = this.core.changes
    const after = this.session!.isVolatile || this.cannotKeep ? 0 : appended
    if (!this.isHoldingAcks && durable >= after) this.sendPacket(packet)
    else this.holdAcks().hold(packet, after, false)
  }

  private get isHoldingAcks(): boolean {
    return this.heldAcks !== undefined && this.heldAcks.count > 0
  }

  private holdAcks(): HeldAcks {
    this.heldAcks ??= new HeldAcks(this)
    return this.heldAcks
  }

  /** Sends a packet that is not an acknowledgement of anything. */
  sendPacket(packet: Buffer): void {
    if (packet.length > this.maximumPacketBytes) return // only a reason string could make it so; see `problem`
    this.outbox.push(packet)
    this.core.metrics.packetsSent++
  }

  /** The properties that explain a failure, if the client wants them and they fit. [MQTT-3.1.2-29] [MQTT-3.4.2-2] */
  problem(reason: Reason, explanation?: string): Properties | undefined {
    if (reason < 0x80 || this.level !== 5 || !this.wantsProblemInformation) return undefined
    const reasonString = explanation ?? reasonText(reason)
    const fits = isEncodable(reasonString) && Buffer.byteLength(reasonString) + 32 <= this.maximumPacketBytes
    return fits ? { reasonString } : undefined
  }

  /** A packet id that is not known any more, in PUBREL and PUBCOMP, is an ordinary thing after a reconnect. */
  private ackProblem(type: AckType, reason: Reason, explanation?: string): Properties | undefined {
    return type === PacketType.PUBREL || type === PacketType.PUBCOMP ? undefined : this.problem(reason, explanation)
  }

  /** An acknowledgement is held no longer. */
  sendHeld(packet: Buffer, endsPublish: boolean): void {
    if (this.unacknowledged > 0 && endsPublish) this.unacknowledged--
    this.sendPacket(packet)
  }

  onDurable(): void {
    if (this.state === "open") this.session?.pump()
  }

  waitForDurable(): void {
    this.holdAcks().wait()
  }

  recheck(auth: Auth): void {
    if (this.serving.auth !== auth) return
    this.permissions?.forget()
    this.isRecheckDue = this.state !== "open" || this.isBusy
    if (this.state === "open") this.recheckNow()
  }

  recheckIfDue(): void {
    if (!this.isRecheckDue) return
    this.isRecheckDue = false
    this.recheckNow()
  }

  private recheckNow(): void {
    recheck(this).catch((error) => this.core.onBug(error))
  }

  /** Says goodbye with `reason`, where the level knows how, and closes. The will is due. [MQTT-4.13.1-1] */
  disconnect(reason: Reason, explanation?: string, properties?: Properties): void {
    if (this.state === "closing" || this.state === "closed") return
    if (this.level === 5 && this.state === "open") {
      const why = { ...properties, ...this.problem(reason, explanation) }
      this.sendPacket(encodeDisconnect(writer, reason, Object.keys(why).length > 0 ? why : undefined))
    }
    sayClosing(this, reason, explanation)
    this.close(true, { reason, by: "broker" })
  }

  /**
   * Ends the protocol, then the connection: what was written may still be read, what still comes is thrown away. A
   * socket closed at once would reset, and the last packet with its reason would be lost.
   */
  close(isWillDue: boolean, disconnection = broken): void {
    if (this.state === "closing" || this.state === "closed") return
    this.leave("closing", isWillDue, disconnection)
    if (this.hasLeft) {
      this.closed()
      return
    }
    this.outbox.flush()
    if (this.outbox.isEmpty) this.transport.end()
    this.deadline = this.core.timers.schedule(this.core.now() + LINGER_MS, (link: Link) => link.destroy(), this)
  }

  destroy(): void {
    this.transport.destroy()
  }

  /** The socket has gone. */
  closed(): void {
    if (this.state === "closed") return
    if (this.state !== "closing") this.leave("closed", true, broken)
    this.state = "closed"
    this.deadline?.cancel()
    this.outbox.close()
    this.core.peers.delete(this)
    this.core.metrics.connections--
    this.serving.connections--
  }

  /** The socket takes bytes again. */
  drained(): void {
    if (!this.outbox.drain()) this.session?.wake()
    else if (this.state === "open") this.session!.pump()
    else if (this.state === "closing") this.transport.end()
  }

  private leave(state: LinkState, isWillDue: boolean, disconnection: Disconnection): void {
    if (this.state === "open") this.goodbye(disconnection)
    this.state = state
    this.attempt?.end()
    this.deadline?.cancel()
    this.expiry?.cancel()
    this.authentication?.deadline?.cancel()
    this.heldAcks?.clear()
    if (this.session !== undefined) this.core.sessions.detach(this.session, this, isWillDue)
  }

  private goodbye(disconnection: Disconnection): void {
    const { clients, hooks, incidents } = this.core
    const { by, reason } = disconnection
    if (by !== "broker") sayDisconnected(this, reason)
    else incidents.note(this.name, "connection", "disconnected", "", this.core.now(), reason)
    if (clients.get(this.session!.clientId) === this) clients.delete(this.session!.clientId)
    if (hooks.wants.onDisconnected !== undefined) hooks.tell("onDisconnected", this.view, disconnection)
    this.clientView?.end()
  }
}

/** The one writer of all connections: a packet is copied into an outbox before the next is begun. */
export const writer = new Writer()

/**
 * One client's connection, from its first byte to its last: bytes in, packets handled in order, bytes out.
 *
 * Rules:
 * 1. The first packet is a CONNECT, and there is no second. [MQTT-3.1.0-1] [MQTT-3.1.0-2]
 * 2. Packets are handled one after the other. A handler that must wait for somebody else's answer returns a promise; until
 *    it is settled nothing more is read, so that order holds and nothing piles up.
 * 3. Whatever a chunk causes, here and on other connections, is written once, when the chunk is done.
 * 4. A packet that cannot be read ends the connection, with its reason where the client knows reasons. [MQTT-4.13.1-1]
 */
import type { Core } from "../broker/core.ts"
import type { Serving } from "../broker/serving.ts"
import { decodeDisconnect, Framer, PacketType, Reader, Reason } from "../codec/index.ts"
import { onAuth, onConnect, refuseSurplus } from "./connect.ts"
import { sayFault, sayStranger } from "./lines.ts"
import { Link, type LinkState } from "./link.ts"
import type { BlockPool } from "./outbox.ts"
import { onPuback, onPubcomp, onPublish, onPubrec, onPubrel } from "./publish.ts"
import { refuse } from "./refusal.ts"
import { strangerLike } from "./stranger.ts"
import { onSubscribe, onUnsubscribe } from "./subscribe.ts"
import type { Transport } from "./transport.ts"

const bit = (...types: PacketType[]) => types.reduce<number>((mask, type) => mask | (1 << type), 0)
const { CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH } =
  PacketType

/** What a client may send in each state. */
const accepts: Record<LinkState, number> = {
  waiting: bit(CONNECT),
  authenticating: bit(AUTH, DISCONNECT),
  open: bit(PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH),
  closing: 0,
  closed: 0,
}

/** The low four bits of the first byte, for every packet but PUBLISH. [MQTT-2.1.3-1] */
const flagsOf = (type: number) => (type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 2 : 0)

const PINGRESP = Buffer.from([PacketType.PINGRESP << 4, 0])
/** How many connections over the limit are still told so. */
const SURPLUS_TOLD = 1000

/** A stranger may not make the broker gather more than a will of full size and what goes with it. */
const LARGEST_CONNECT_BYTES = 262_144

const reader = new Reader()

export class Connection {
  readonly link: Link
  private readonly framer: Framer
  private isSurplus = false

  /** Takes over a socket that has just been accepted. */
  constructor(core: Core, transport: Transport, serving: Serving, pool: BlockPool) {
    const { limits, metrics, timers } = core
    this.link = new Link(core, transport, serving, pool)
    this.framer = new Framer(Math.min(limits.maximumPacketBytes, LARGEST_CONNECT_BYTES))
    core.peers.add(this.link)
    metrics.socketsOpened++
    metrics.connections++
    serving.connections++
    const surplus = Math.max(
      metrics.connections - limits.maximumConnections,
      serving.connections - serving.limits.maximumConnections,
    )
    if (surplus > 0) {
      this.isSurplus = true
      metrics.limitsHit[metrics.connections > limits.maximumConnections ? "connections" : "listener connections"]++
      if (surplus > SURPLUS_TOLD) destroySoon(transport)
    }
    this.link.deadline = timers.schedule(
      this.link.lastReceivedAt + limits.connectTimeoutSeconds * 1000,
      onConnectTimeout,
      this.link,
    )
  }

  /** Bytes from the socket; the buffer is ours. */
  receive(chunk: Buffer): void {
    const { link, framer } = this
    const { core } = link
    if (link.state === "closing" || link.state === "closed") return
    core.metrics.bytesReceived += chunk.length
    link.bytesReceived += chunk.length
    framer.push(chunk)
    if (!link.isBusy) this.run()
  }

  /** The socket takes bytes again. */
  drained(): void {
    const { turn } = this.link.core
    turn.begin()
    this.link.drained()
    turn.end()
  }

  /** The client has gone, and has not broken off: what has come is worked on first, unless the broker has had its last word. */
  ended(): void {
    const { link } = this
    link.hasLeft = link.isBusy && link.state !== "closing"
    if (!link.hasLeft) this.closed()
  }

  /** The socket has gone. */
  closed(): void {
    const { turn } = this.link.core
    turn.begin()
    this.link.closed()
    turn.end()
  }

  private run(): void {
    const { framer, link } = this
    const { turn, metrics, hooks } = link.core
    const now = link.core.now()
    turn.begin()
    try {
      while (framer.next()) {
        metrics.packetsReceived++
        if (hooks.wants.onPacketReceived !== undefined) this.tellReceived()
        link.lastReceivedAt = now
        const pending = this.handle()
        if (pending !== undefined) {
          this.waitFor(pending)
          break
        }
        if (link.state === "closing" || link.state === "closed") break
        if (turn.isLong && framer.hasPending) {
          this.interrupt()
          return
        }
      }
      if (framer.reason !== Reason.Success) this.onUnreadable(framer.reason)
      if (link.state === "open" && !link.isBusy) {
        this.restrain()
        link.recheckIfDue()
      } else if (link.state === "waiting") this.judge(framer.partial)
    } catch (error) {
      this.onBug(error)
    }
    this.endTurn()
  }

  /** Whoever has sent what goes to very many waits until it is written to all. */
  private endTurn(): void {
    const { framer, link } = this
    const isFlushed = link.core.turn.end()
    if (link.isBusy) return
    framer.release()
    if (!isFlushed && link.state === "open") this.interrupt()
  }

  private tellReceived(): void {
    const { link, framer } = this
    const bytes = Buffer.from(framer.bytes.subarray(framer.start, framer.end))
    link.core.hooks.tell("onPacketReceived", { type: bytes[0]! >> 4, bytes }, link.client && link.view)
  }

  /** A client that outruns the store waits for it; one that asks and asks and does not read the answers is let go. */
  private restrain(): void {
    const { link } = this
    const { heldAcks, core } = link
    const { receiveMaximum, maximumBacklogBytes, maximumPacketBytes } = core.limits
    // Messages stop at the backlog's bound, give or take one: what is beyond it are answers.
    if (link.backlogBytes > 2 * maximumBacklogBytes + maximumPacketBytes) {
      link.disconnect(Reason.QuotaExceeded, "answers are not read")
    } else if (heldAcks !== undefined && heldAcks.count > 2 * receiveMaximum) this.waitFor(heldAcks.empty())
  }

  /** Reads nothing more until the answer is there; then goes on with what has come. */
  private waitFor(pending: Promise<void>): void {
    this.stop()
    pending.then(
      () => this.goOn(),
      (error) => {
        this.onBug(error)
        this.goOn()
      },
    )
  }

  /** What has come causes so much that others have a turn first. */
  private interrupt(): void {
    this.stop()
    this.link.core.turn.interrupt(() => this.goOn())
  }

  private stop(): void {
    const { link } = this
    link.isBusy = true
    link.transport.pause()
  }

  private goOn(): void {
    const { link } = this
    link.isBusy = false
    link.lastReceivedAt = link.core.now()
    if (link.state === "closed") return
    link.transport.resume()
    if (link.state !== "closing") this.run()
    if (link.hasLeft && !link.isBusy) this.closed()
  }

  /** Ours, not the peer's: this connection ends, and nobody else notices. [v3.1.1 MQTT-4.8.0-2] */
  private onBug(error: unknown): void {
    const { link } = this
    sayFault(link, error)
    link.core.hooks.tell("onError", error, "manju")
    link.disconnect(Reason.UnspecifiedError)
  }

  private handle(): void | Promise<void> {
    const { link } = this
    const { bytes, start, body, end } = this.framer
    const first = bytes[start]!
    const type = (first >> 4) as PacketType
    if ((accepts[link.state] & (1 << type)) === 0) return this.onUnexpected(type)
    if (type === PUBLISH) return onPublish(link, bytes, start, body, end)
    const flags = link.level === 3 ? first & 0x07 : first & 0x0f // MQTT 3.1 has DUP in more packets than PUBLISH
    if (flags !== flagsOf(type)) {
      if (link.state === "waiting") return this.closeStranger(bytes, start)
      return this.onUnreadable(Reason.MalformedPacket)
    }
    switch (type) {
      case PUBACK:
        return onPuback(link, bytes, body, end)
      case PUBREC:
        return onPubrec(link, bytes, body, end)
      case PUBREL:
        return onPubrel(link, bytes, body, end)
      case PUBCOMP:
        return onPubcomp(link, bytes, body, end)
      case SUBSCRIBE:
        return onSubscribe(link, bytes, body, end)
      case UNSUBSCRIBE:
        return onUnsubscribe(link, bytes, body, end)
      case PINGREQ:
        if (end !== body) return this.onUnreadable(Reason.MalformedPacket)
        return link.sendPacket(PINGRESP) // [MQTT-3.12.4-1]
      case CONNECT:
        this.framer.maximumPacketBytes = link.core.limits.maximumPacketBytes
        return this.isSurplus ? refuseSurplus(link, bytes, body, end) : onConnect(link, bytes, body, end)
      case AUTH:
        return link.level === 5 ? onAuth(link, bytes, body, end) : this.onUnexpected(type)
      case DISCONNECT:
        return this.onDisconnect()
    }
  }

  /** The client says goodbye: with reason 0 its will is forgotten. [MQTT-3.1.2-8] [MQTT-3.14.4-3] */
  private onDisconnect(): void {
    const { link } = this
    const { bytes, body, end } = this.framer
    const packet = decodeDisconnect(reader.reset(bytes, body, end), link.level)
    if (typeof packet === "number") {
      this.onUnreadable(packet)
      return
    }
    const expiry = packet.properties.sessionExpirySeconds
    const { session } = link
    if (expiry !== undefined && session !== undefined) {
      if (expiry !== 0 && !link.askedToOutlive) {
        link.disconnect(Reason.ProtocolError, "the session expiry was 0 at CONNECT") // [MQTT-3.14.2-2]
        return
      }
      session.expirySeconds = Math.min(expiry, link.core.limits.maximumSessionExpirySeconds)
    }
    link.close(packet.reason !== Reason.Success, { reason: packet.reason, by: "client" })
  }

  /** The first byte alone tells what is no CONNECT: nobody has to wait for the rest, which may never come. */
  private judge(begun: Buffer): void {
    if (begun.length > 0 && begun[0] !== CONNECT << 4) this.closeStranger(begun, 0)
  }

  private closeStranger(bytes: Buffer, start: number): void {
    const { link } = this
    const like = strangerLike(bytes, start)
    const guess = like === undefined ? "" : `; it looks like ${like}`
    sayStranger(link, `the first packet is not a CONNECT${guess}`)
    link.close(true)
  }

  /** A packet that has no place in this state. */
  private onUnexpected(type: PacketType): void {
    const { link } = this
    if (link.state === "waiting") this.closeStranger(this.framer.bytes, this.framer.start)
    else if (link.state === "authenticating") refuse(link, link.level, { reason: Reason.ProtocolError })
    else link.disconnect(Reason.ProtocolError, `unexpected packet of type ${type}`)
  }

  private onUnreadable(reason: Reason): void {
    const { link } = this
    if (reason === Reason.PacketTooLarge) link.core.metrics.limitsHit["packet size"]++
    if (link.state === "open") link.disconnect(reason)
    else if (link.state === "authenticating") refuse(link, link.level, { reason })
    else if (link.state === "waiting") {
      sayStranger(link, "no CONNECT that can be read")
      link.close(true)
    }
  }
}

/** Its listener has to know it first. */
function destroySoon(transport: Transport): void {
  queueMicrotask(() => transport.destroy())
}

function onConnectTimeout(link: Link): void {
  link.core.metrics.limitsHit["connect timeout"]++
  if (link.connecting === undefined) {
    sayStranger(link, "no CONNECT in time")
    link.close(true)
  } else if (link.isBusy) {
    refuse(link, link.level, { reason: Reason.ServerUnavailable, reasonString: "it was not decided on in time" })
  } else refuse(link, link.level, { reason: Reason.NotAuthorized, reasonString: "no AUTH in time" })
}

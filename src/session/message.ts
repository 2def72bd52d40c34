/**
 * An application message on its way from a publisher to everybody who gets it.
 *
 * A message that comes from the wire is a view of the chunk it came in, valid for the turn: one `Message` is reused for
 * all of them (`from`). Whoever needs it longer asks for `keep()`, which copies the packet once for all who do.
 *
 * Receivers that differ in nothing get the same bytes: the packet as it came where that is already the right form
 * (`isWireFor`), else `form`, which encodes once per wire form. Only the packet id differs from one copy to the next; the outbox
 * puts it in its own copy at `packetIdAt`.
 */
import {
  type OutgoingPublish,
  outgoingPublishBytes,
  type Properties,
  type Publish,
  publishProperties,
  type QoS,
  Writer,
  writeProperties,
  writePublish,
} from "../codec/index.ts"
import { Topic } from "../router/index.ts"
import { type Piece, StablePacket } from "./piece.ts"

const EMPTY = Buffer.alloc(0)
const NO_FORMS: undefined[] = []
const NO_WIRE = new StablePacket(EMPTY)
const NO_TOPIC = new Topic("", EMPTY, 0)
/** What an object in a queue costs beside its bytes, about. */
const OVERHEAD_BYTES = 200

export class Message {
  topic: Topic = NO_TOPIC
  qos: QoS = 0
  retain = false
  payload: Buffer = EMPTY
  payloadStart = 0
  payloadEnd = 0
  /** The properties that travel on, encoded, without their length. */
  properties: Buffer = EMPTY
  propertiesStart = 0
  propertiesEnd = 0
  /** When it expires, in milliseconds of the broker's clock; Infinity: never. */
  expiresAt = Number.POSITIVE_INFINITY
  /** What the Message Expiry Interval said when it came, in seconds; -1: nothing. */
  expirySeconds = -1

  /** The only clients that get it; undefined: all that subscribe to it. */
  recipients: ReadonlySet<string> | undefined = undefined
  /** Under which the store has it; 0: it has never been there. */
  storedId = 0
  /** Whether it is being handed round, so that its forms are worth keeping for the next receiver. */
  isRouting = false

  /** The packet as it came. */
  wire = NO_WIRE
  /** Whether it may leave as it is. */
  private isWire = false
  private wireIsLevel5 = false
  private owned = false
  private kept: Message | undefined = undefined
  private forms: (StablePacket | undefined)[] = NO_FORMS
  private hasForms = false

  /** Becomes a view of a packet just read. `now` is the broker's clock. */
  from(packet: Publish, topic: Topic, now: number): this {
    this.topic = topic
    this.qos = packet.qos
    this.retain = packet.retain
    this.payload = this.properties = packet.bytes
    this.payloadStart = packet.payloadStart
    this.payloadEnd = packet.end
    this.propertiesStart = packet.propertiesStart
    this.propertiesEnd = packet.propertiesEnd
    if (this.wire === NO_WIRE) this.wire = new StablePacket(EMPTY)
    this.wire.reset(packet.bytes, packet.start, packet.end)
    this.wireIsLevel5 = packet.level === 5
    this.isWire = !packet.dup && packet.topicEnd - packet.topicStart === topic.bytes.length
    this.expirySeconds = packet.messageExpirySeconds
    this.expiresAt = this.expirySeconds < 0 ? Number.POSITIVE_INFINITY : now + this.expirySeconds * 1000
    this.kept = undefined
    if (packet.hasHopProperties) {
      this.isWire = false
      this.properties = packet.forwardable()
      this.propertiesStart = 0
      this.propertiesEnd = this.properties.length
    }
    return this
  }

  /** A message of the broker's own making: a will, `$SYS`, a publish by the embedding service. */
  static create(
    topic: Topic,
    payload: Uint8Array,
    qos: QoS,
    retain: boolean,
    properties: Properties,
    now: number,
  ): Message {
    const message = new Message()
    message.topic = topic
    message.qos = qos
    message.retain = retain
    message.payload = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    message.payloadEnd = payload.length
    message.owned = true
    const { messageExpirySeconds, ...travelling } = properties
    if (messageExpirySeconds !== undefined) {
      message.expirySeconds = messageExpirySeconds
      message.expiresAt = now + messageExpirySeconds * 1000
    }
    for (const _ in travelling) {
      message.properties = encodeProperties(travelling)
      message.propertiesEnd = message.properties.length
      break
    }
    return message
  }

  /**
   * A message as a store has kept it; `expiresAt` in milliseconds of the broker's clock. Its bytes may be a small part of a
   * page's: whoever wants it for long keeps it.
   */
  static restore(
    topic: Topic,
    payload: Uint8Array,
    qos: QoS,
    retain: boolean,
    properties: Uint8Array,
    expirySeconds: number | undefined,
    expiresAt: number | undefined,
  ): Message {
    const message = Message.create(topic, payload, qos, retain, {}, 0)
    message.owned = false
    message.properties = Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength)
    message.propertiesEnd = properties.length
    if (expirySeconds !== undefined && expiresAt !== undefined) {
      message.expirySeconds = expirySeconds
      message.expiresAt = expiresAt
    }
    return message
  }

  /** The same message in memory of its own, made once for all who keep it. */
  keep(): Message {
    if (this.owned) return this
    if (this.kept !== undefined) return this.kept
    const kept = new Message()
    const payloadBytes = this.payloadEnd - this.payloadStart
    const propertyBytes = this.propertiesEnd - this.propertiesStart
    const memory = Buffer.allocUnsafeSlow(propertyBytes + payloadBytes)
    this.properties.copy(memory, 0, this.propertiesStart, this.propertiesEnd)
    this.payload.copy(memory, propertyBytes, this.payloadStart, this.payloadEnd)
    kept.topic = this.topic
    kept.qos = this.qos
    kept.retain = this.retain
    kept.payload = kept.properties = memory
    kept.propertiesEnd = kept.payloadStart = propertyBytes
    kept.payloadEnd = memory.length
    kept.expiresAt = this.expiresAt
    kept.expirySeconds = this.expirySeconds
    kept.storedId = this.storedId
    kept.recipients = this.recipients
    kept.owned = true
    this.kept = kept
    return kept
  }

  /** What it weighs in a queue, in bytes. */
  get sizeBytes(): number {
    return (
      OVERHEAD_BYTES +
      this.topic.bytes.length +
      this.payloadEnd -
      this.payloadStart +
      this.propertiesEnd -
      this.propertiesStart
    )
  }

  get payloadBytes(): number {
    return this.payloadEnd - this.payloadStart
  }

  /** The properties as an object, without the expiry. */
  decodeProperties(): Properties {
    return publishProperties(this.properties, this.propertiesStart, this.propertiesEnd)
  }

  isExpired(now: number): boolean {
    return this.expiresAt <= now
  }

  /** The Message Expiry Interval to send at `now`: what is left of it [MQTT-3.3.2-6]; -1: none. */
  remainingSeconds(now: number): number {
    if (this.expirySeconds < 0) return -1
    return Math.max(0, Math.min(this.expirySeconds, Math.ceil((this.expiresAt - now) / 1000)))
  }

  /** Whether the packet as it came, `wire`, is what such a receiver gets. */
  isWireFor(isLevel5: boolean, qos: QoS, retain: boolean): boolean {
    return this.isWire && isLevel5 === this.wireIsLevel5 && qos === this.qos && retain === this.retain
  }

  /** Whether it goes, as it came, to all that hold the piece and nobody has to be asked: true if it is part of that from now on. */
  joins(piece: Piece): boolean {
    if (!this.isWire || this.qos > 0 || this.retain) return false
    return piece.grow(this.payload, this.wire.start, this.payloadEnd)
  }

  /** The whole packet, encoded once for every receiver without identifiers, alias or mount point; valid for the turn. */
  form(isLevel5: boolean, qos: QoS, retain: boolean): StablePacket {
    const index = (isLevel5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0)
    if (this.forms === NO_FORMS) this.forms = new Array(12).fill(undefined)
    const form = (this.forms[index] ??= new StablePacket(this.encode(isLevel5, qos, retain)))
    this.hasForms = true
    return form
  }

  /** What it waited before it could be routed is no part of its life any more. [MQTT-3.3.2-6] */
  age(now: number): void {
    this.expirySeconds = this.remainingSeconds(now)
  }

  /** Everybody has got the message: the encoded forms go. */
  endRouting(): void {
    this.isRouting = false
    if (!this.hasForms) return
    this.forms.fill(undefined)
    this.hasForms = false
  }

  private encode(isLevel5: boolean, qos: QoS, retain: boolean): Buffer {
    outgoing.level = isLevel5 ? 5 : 4
    outgoing.dup = false
    outgoing.qos = qos
    outgoing.retain = retain
    outgoing.packetId = 0
    outgoing.topic = this.topic.bytes
    outgoing.topicAlias = 0
    outgoing.messageExpirySeconds = this.expirySeconds
    outgoing.subscriptionIdentifiers = undefined
    this.fill(outgoing)
    const form = Buffer.allocUnsafe(outgoingPublishBytes(outgoing))
    writePublish(outgoing, form, 0)
    return form
  }

  /** Points `packet` at the properties and the payload. */
  fill(packet: OutgoingPublish): void {
    packet.properties = this.properties
    packet.propertiesStart = this.propertiesStart
    packet.propertiesEnd = this.propertiesEnd
    packet.payload = this.payload
    packet.payloadStart = this.payloadStart
    packet.payloadEnd = this.payloadEnd
  }
}

/** An empty packet to fill in. */
export function newOutgoingPublish(): OutgoingPublish {
  return {
    level: 4,
    dup: false,
    qos: 0,
    retain: false,
    packetId: 0,
    topic: EMPTY,
    topicAlias: 0,
    messageExpirySeconds: -1,
    subscriptionIdentifiers: undefined,
    properties: EMPTY,
    propertiesStart: 0,
    propertiesEnd: 0,
    payload: EMPTY,
    payloadStart: 0,
    payloadEnd: 0,
  }
}

const outgoing = newOutgoingPublish()
const writer = new Writer()

/** Where the packet id stands in the PUBLISH of QoS 1 or 2 at `start`, whose topic has `topicBytes`. */
export function packetIdAt(bytes: Uint8Array, start: number, topicBytes: number): number {
  let at = start + 1
  while (bytes[at]! >= 0x80) at++
  return at + 3 + topicBytes
}

/** The properties encoded, without the length in front. */
export function encodeProperties(properties: Properties): Buffer {
  writeProperties(writer.begin(0), properties)
  const packet = writer.finish()
  let at = 1
  while (packet[at]! >= 0x80) at++
  at++
  while (packet[at]! >= 0x80) at++
  return Buffer.from(packet.subarray(at + 1))
}

import type { IPublishPacket } from "mqtt-packet"
import type { Properties, QoS } from "../codec/index.ts"
import { decodeProperties } from "./properties.ts"

/**
 * A message as a test client has got it.
 *
 * @example
 * expect(await client.nextMessage()).toMatchObject({ topic: "a/b", qos: 1, retain: false })
 */
export class TestMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  /** Whether the broker had it already, or the subscription wants it as published. */
  readonly retain: boolean
  /** Whether the broker has sent it before. */
  readonly dup: boolean
  /** With QoS 1 and 2. */
  readonly packetId: number | undefined
  /** Those of MQTT 5; empty before. */
  readonly properties: Properties

  /**
   * `topic` is the one that the packet's alias stands for.
   * @internal
   */
  constructor(packet: IPublishPacket, topic: string) {
    const { payload, qos, retain, dup, messageId } = packet
    this.topic = topic
    this.payload = payload as Buffer
    this.qos = qos
    this.retain = retain
    this.dup = dup
    this.packetId = qos > 0 ? messageId : undefined
    this.properties = decodeProperties(packet)
  }

  /** The payload as UTF-8 text. */
  text(): string {
    return Buffer.from(this.payload).toString()
  }

  /** The payload as JSON. Throws a `SyntaxError` for what is none. */
  json<Value = unknown>(): Value {
    return JSON.parse(this.text()) as Value
  }
}

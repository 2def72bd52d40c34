/** A message as `manju sub` prints it, and as JSON. */
import { isUtf8 } from "node:buffer"
import type { IPublishPacket } from "mqtt"
import type { QoS } from "../../codec/index.ts"
import { strftime } from "./strftime.ts"

export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** The packet identifier; 0 at QoS 0. */
  readonly messageId: number
  /** Of MQTT 5; undefined where there are none. */
  readonly properties: IPublishPacket["properties"]
  readonly came: Date
}

/**
 * `{"time":"2026-01-01T12:00:00.000Z","topic":"a","qos":1,"retain":false,"payload":"on"}`, with `properties` in the names of
 * manju's library where there are some. What is not UTF-8 is `payloadBase64` and `correlationDataBase64` instead.
 */
export function toJson({ topic, payload, qos, retain, properties, came }: Message): object {
  const head = { time: came.toISOString(), topic, qos, retain, ...bytesOf("payload", payload) }
  if (properties === undefined) return head
  const { correlationData, messageExpiryInterval, subscriptionIdentifier, ...same } = properties
  const renamed = {
    ...same,
    ...(messageExpiryInterval !== undefined && { messageExpirySeconds: messageExpiryInterval }),
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifiers: [subscriptionIdentifier].flat() }),
    ...(correlationData !== undefined && bytesOf("correlationData", correlationData)),
  }
  return { ...head, properties: renamed }
}

function bytesOf(name: string, bytes: Buffer): object {
  return isUtf8(bytes) ? { [name]: bytes.toString() } : { [`${name}Base64`]: bytes.toString("base64") }
}

/**
 * The object that mosquitto_sub prints for `%j`, and for `%J` with the payload as JSON.
 * Undefined: the payload is none.
 */
export function toMosquittoJson(message: Message, payloadIs: "text" | "json"): object | undefined {
  const { topic, payload, qos, retain, messageId, properties, came } = message
  const microseconds = String(came.getMilliseconds() * 1000).padStart(6, "0")
  const tst = `${strftime("F", came)}T${strftime("T", came)}.${microseconds}${strftime("z", came)}`
  const head = { tst, topic, qos, retain: Number(retain), payloadlen: payload.length }
  const mid = qos > 0 ? { mid: messageId } : {}
  const shown = properties === undefined ? {} : { properties: mosquittoProperties(properties) }
  if (payload.length === 0) return { ...head, ...mid, ...shown, payload: null }
  const text = payload.toString()
  if (payloadIs === "text") return { ...head, ...mid, ...shown, payload: text }
  try {
    return { ...head, ...mid, ...shown, payload: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** `payloadFormatIndicator: true` -> `"payload-format-indicator": 1` */
function mosquittoProperties(properties: object): object {
  const shown = Object.entries(properties).map(([name, value]) => {
    if (name === "userProperties") return ["user-properties", { ...value }]
    const identifier = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    return [identifier, typeof value === "boolean" ? Number(value) : Buffer.isBuffer(value) ? value.toString() : value]
  })
  return Object.fromEntries(shown)
}

/** What crash tests publish: messages that are known by every byte of them. */
import type { Client } from "./role.ts"

export interface Message {
  /** Its place among all that was published. */
  readonly number: number
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly publisher: Client
  /** Of the payload; without any it removes what is retained. */
  readonly bytes: number
  readonly firstSentAt: number
  lastSentAt: number
  /** When the answer came that makes the broker responsible: PUBACK or PUBREC. */
  acknowledgedAt: number
  /** The lives of the broker in which it was sent, and the one in which it was acknowledged. */
  readonly sentIn: number[]
  acknowledgedIn: number | undefined
}

/** When what has not happened happened. */
export const NEVER = Number.POSITIVE_INFINITY
/** The number stands in front of every payload, in so many bytes. */
export const NUMBER_BYTES = 12

export function payloadOf({ number, bytes }: Message): Buffer {
  if (bytes === 0) return Buffer.alloc(0)
  const payload = Buffer.alloc(Math.max(NUMBER_BYTES, bytes), number & 0xff)
  payload.write(String(number).padEnd(NUMBER_BYTES), "latin1")
  return payload
}

/** The number in a payload. */
export function numberIn(payload: Buffer): string {
  return payload.toString("latin1", 0, NUMBER_BYTES).trimEnd()
}

/** A property by which the message is known, where its publisher has properties. */
export function contentTypeOf({ number, publisher }: Message): string | undefined {
  return publisher.level === 5 ? `the ${number}th` : undefined
}

/** All that there is to know of it. */
export function describe({ number, topic, qos, bytes, publisher, sentIn, acknowledgedIn }: Message): string {
  const sent = `sent in life ${sentIn.join(" and ")}`
  const answer = qos === 1 ? "PUBACK" : "PUBREC"
  const outcome = acknowledgedIn === undefined ? `no ${answer} seen` : `${answer} seen in life ${acknowledgedIn}`
  const fate = qos === 0 ? sent : `${sent}, ${outcome}`
  return `message ${number} (${topic}, QoS ${qos}, ${bytes} bytes, from ${publisher.name}, ${fate})`
}

/** Packets built by hand, and what has become of the client that sent them: for the tables of this folder. */
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import type { TestClient } from "../support/harness.ts"

/** Every protocol level. */
export const levels = [3, 4, 5] as const satisfies ProtocolLevel[]

/** A packet around its body: both in hexadecimal. */
export function packet(first: string, body: string): Buffer {
  const bytes = hex(body)
  return Buffer.concat([hex(first), varint(bytes.length), bytes])
}

/** A Variable Byte Integer. */
export function varint(value: number): Buffer {
  const bytes: number[] = []
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0))
    value >>>= 7
  } while (value > 0)
  return Buffer.from(bytes)
}

/** A property block around its properties, with the length in front; nothing in MQTT 3. Hexadecimal. */
export function block(level: ProtocolLevel, properties = ""): string {
  return level === 5 ? varint(hex(properties).length).toString("hex") + properties : ""
}

export interface ConnectParts {
  level?: ProtocolLevel
  /** Default: that of the level. */
  name?: string
  /** What stands in the byte of the protocol level. Default: the level. */
  levelByte?: number
  /** Default: a clean start alone, 02. */
  flags?: string
  keepAlive?: string
  /** Properties without their length. */
  properties?: string
  /** Default: the client identifier `a`. */
  payload?: string
}

/** A CONNECT, each part as it is on the wire. */
export function connectBytes(parts: ConnectParts = {}): Buffer {
  const { level = 5, name = level === 3 ? "MQIsdp" : "MQTT", levelByte = level } = parts
  const { flags = "02", keepAlive = "0000", properties = "", payload = textHex("a") } = parts
  const byte = levelByte.toString(16).padStart(2, "0")
  return packet("10", textHex(name) + byte + flags + keepAlive + block(level, properties) + payload)
}

/** Everything the client has got, in hexadecimal, and whether it is still connected. */
export function fate(client: TestClient): string {
  return [client.bytes.toString("hex"), client.isClosed ? "closed" : "open"].filter((part) => part !== "").join(" ")
}

/** The packets that have come since the last time with their reasons, and whether the client is still connected. */
export function told(client: TestClient): string {
  const packets = client.take().map(({ cmd, reasonCode, returnCode }) => {
    const code = reasonCode ?? returnCode
    return code === undefined ? cmd : `${cmd} ${code.toString(16).padStart(2, "0")}`
  })
  return [...packets, client.isClosed ? "closed" : "open"].join(", ")
}

/** How a malformed packet, or one against the protocol, ends: `reason` in the level that knows reasons. */
export function thrownOut(level: ProtocolLevel, reason: string): string {
  return level === 5 ? `disconnect ${reason}, closed` : "closed"
}

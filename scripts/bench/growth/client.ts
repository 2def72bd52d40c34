/**
 * A broker without sockets, and its clients: bytes go straight into a `Connection` and come straight out of it, so that what is measured is all
 * that manju does with a packet, and nothing of the system's.
 */
import mqtt from "mqtt-packet"
import { allowAll } from "../../../src/auth/allow.ts"
import { systemClock } from "../../../src/broker/clock.ts"
import { Core } from "../../../src/broker/core.ts"
import { resolveLimits, resolveListenerLimits } from "../../../src/broker/limits.ts"
import type { Serving } from "../../../src/broker/serving.ts"
import { BlockPool, Connection, type Transport } from "../../../src/connection/index.ts"

const PROTOCOL_VERSION = 5

/** A broker in memory, its limits as they come but for the retained messages, of which there are some more. */
export function newCore(): Core {
  const limits = resolveLimits({ maximumRetainedMessages: 2_000_000, sysIntervalSeconds: 0 })
  return new Core(limits, systemClock(), undefined, undefined, false)
}

const serving: Serving = { id: "growth", auth: allowAll(), limits: resolveListenerLimits(), connections: 0 }
const pool = new BlockPool()

/** One that is connected: it counts what it is sent, and reads none of it. */
export class Client implements Transport {
  readonly remoteAddress = "192.0.2.1"
  bytesReceived = 0
  /** Whether its socket takes anything. */
  isReading = true
  private readonly connection: Connection

  constructor(core: Core, clientId: string, protocolVersion: 4 | 5 = PROTOCOL_VERSION) {
    this.connection = new Connection(core, this, serving, pool)
    this.send(encode({ cmd: "connect", protocolVersion, clientId, clean: true, keepalive: 0 }))
    if (this.bytesReceived === 0) throw new Error(`${clientId} was not let in`)
  }

  /** Everything that these packets cause has happened when it returns. */
  send(packets: Buffer): void {
    this.connection.receive(packets)
  }

  write(_bytes: Buffer, start: number, end: number): number {
    if (!this.isReading) return 0
    this.bytesReceived += end - start
    return end - start
  }

  pause(): void {
    throw new Error("the broker does not want more of a client that is alone with it")
  }

  resume(): void {}

  end(): void {
    throw new Error("the broker has ended a connection")
  }

  destroy(): void {
    this.end()
  }
}

export function encodeSubscribe(filter: string): Buffer {
  return encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos: 0 }] })
}

export function encodeUnsubscribe(filter: string): Buffer {
  return encode({ cmd: "unsubscribe", messageId: 1, unsubscriptions: [filter] })
}

export function encodePublish(topic: string, { retain, payload }: { retain: boolean; payload: string }): Buffer {
  return encode({ cmd: "publish", topic, payload, qos: 0, retain, dup: false })
}

const encode = (packet: object) =>
  mqtt.generate({ protocolId: "MQTT", ...packet } as mqtt.Packet, { protocolVersion: PROTOCOL_VERSION })

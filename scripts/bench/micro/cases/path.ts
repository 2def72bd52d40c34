/**
 * The road of a message as a whole, from the bytes of one client to those of others: connections, sessions, router and outboxes as in a
 * broker, with sockets that are memory. What the kernel takes is not in it.
 */
import { PacketType } from "../../../../src/codec/index.ts"
import { Client as CountingClient, newCore } from "../../growth/client.ts"
import type { Case } from "../case.ts"
import { publishPacket, written } from "../inputs.ts"

/** PUBLISH packets in a chunk, all of one length. */
const BURST = 64
const TOPIC = "plant-3/line-1/machine-17/temperature"

/** One that also knows where its last packets are, until the end of the turn. */
class Client extends CountingClient {
  last: Uint8Array = new Uint8Array(0)
  lastStart = 0

  override write(bytes: Buffer, start: number, end: number): number {
    this.last = bytes
    this.lastStart = start
    return super.write(bytes, start, end)
  }

  /** How many bytes have come since the last time. */
  take(): number {
    const bytes = this.bytesReceived
    this.bytesReceived = 0
    return bytes
  }
}

export function pathCases(): Case[] {
  return [
    forwarding("path-qos0", "a message forwarded: QoS 0", 4, ["s"], TOPIC),
    forwarding("path-qos0-v5", "a message forwarded: QoS 0, MQTT 5", 5, ["s"], TOPIC),
    forwarding("path-fanout-100", "a message forwarded to 100: QoS 0", 4, names(100), "plant-3/+/+/temperature"),
    forwarding("path-share-10", "a message forwarded to one of 10 who share: QoS 0", 4, names(10), `$share/s/${TOPIC}`),
    acknowledging("path-qos1", "a message forwarded and acknowledged: QoS 1", 1),
    acknowledging("path-qos2", "a message forwarded and acknowledged: QoS 2", 2),
  ]
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `s-${i}`)

type Broker = ReturnType<typeof newCore>

function clientOf(broker: Broker, clientId: string, level: 4 | 5, topicFilter?: string, qos: 0 | 1 | 2 = 0): Client {
  const client = new Client(broker, clientId, level)
  const subscriptions = topicFilter === undefined ? [] : [{ topic: topicFilter, qos }]
  if (subscriptions.length > 0) client.send(written(level, { cmd: "subscribe", messageId: 1, subscriptions }))
  client.take()
  return client
}

function forwarding(
  name: string,
  title: string,
  level: 4 | 5,
  clientIds: readonly string[],
  topicFilter: string,
): Case {
  const broker = newCore()
  const publisher = clientOf(broker, "p", level)
  const subscribers = clientIds.map((clientId) => clientOf(broker, clientId, level, topicFilter))
  const packet = publishPacket(level, { topic: TOPIC })
  const chunk = Buffer.concat(new Array(BURST).fill(packet))
  const receivers = topicFilter.startsWith("$share/") ? 1 : subscribers.length
  return {
    name,
    title,
    operations: BURST,
    expected: BURST * receivers * packet.length,
    run() {
      publisher.send(chunk)
      let bytes = 0
      for (const subscriber of subscribers) bytes += subscriber.take()
      return bytes
    },
  }
}

/** Both ends acknowledge, so that the windows are open again: the subscriber with the packet ids that it got. */
function acknowledging(name: string, title: string, qos: 1 | 2): Case {
  const broker = newCore()
  const publisher = clientOf(broker, "p", 4)
  const subscriber = clientOf(broker, "s", 4, TOPIC, qos)
  const ids = Array.from({ length: BURST }, (_, i) => i + 1)
  const packets = ids.map((packetId) => publishPacket(4, { topic: TOPIC, qos, packetId }))
  const packetBytes = packets[0]!.length
  const idAt = 4 + TOPIC.length
  const chunk = Buffer.concat(packets)
  const release = Buffer.concat(ids.map((messageId) => written(4, { cmd: "pubrel", messageId })))
  const answer = Buffer.alloc(BURST * 4)
  /** Answers each of the packets that have just come, which have their packet ids at `idAt`. */
  const reply = (type: number, packetBytes: number, idAt: number) => {
    const { last, lastStart } = subscriber
    for (let i = 0; i < BURST; i++) {
      const at = lastStart + i * packetBytes + idAt
      answer[i * 4] = type << 4
      answer[i * 4 + 1] = 2
      answer[i * 4 + 2] = last[at]!
      answer[i * 4 + 3] = last[at + 1]!
    }
    subscriber.send(answer)
  }
  return {
    name,
    title,
    operations: BURST,
    expected: BURST * (packetBytes + (qos === 1 ? 4 : 4 + 4 + 4)), // and PUBACK; or PUBREC, PUBCOMP and PUBREL
    run() {
      publisher.send(chunk)
      if (qos === 1) reply(PacketType.PUBACK, packetBytes, idAt)
      else {
        publisher.send(release)
        reply(PacketType.PUBREC, packetBytes, idAt)
        reply(PacketType.PUBCOMP, 4, 2)
      }
      return publisher.take() + subscriber.take()
    },
  }
}

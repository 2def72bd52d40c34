/** MQTT.js for tests: clients that are in, what they are sent, and all of them gone after the test. */
import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from "mqtt"

const clients: MqttClient[] = []

/** For `afterEach`. */
export function endClients(): void {
  for (const client of clients.splice(0)) client.end(true)
}

/** A client of 127.0.0.1 that is in, and its messages as they come. */
export async function connect(port: number, level: 3 | 4 | 5, options: IClientOptions = {}) {
  const identity = { protocolVersion: level, protocolId: level === 3 ? "MQIsdp" : "MQTT" } as const
  const client = mqtt.connect({ port, host: "127.0.0.1", ...identity, reconnectPeriod: 0, ...options })
  clients.push(client)
  const inbox = new Inbox(client)
  const connack = await new Promise<IConnackPacket>((resolve, reject) => {
    client.once("connect", resolve)
    client.once("error", reject)
    client.once("close", () => reject(new Error("the connection was closed before it was open")))
  })
  client.on("error", () => {})
  return { client, inbox, connack }
}

/** What a client has been sent, to be waited for. */
export class Inbox {
  private readonly packets: IPublishPacket[] = []
  private stir: () => void = () => {}

  constructor(client: MqttClient) {
    client.on("message", (topic, _payload, packet) => {
      this.packets.push({ ...packet, topic }) // the packet's own is empty behind an alias
      this.stir()
    })
  }

  async next(): Promise<IPublishPacket> {
    while (this.packets.length === 0) {
      await new Promise<void>((resolve) => {
        this.stir = resolve
      })
    }
    return this.packets.shift()!
  }

  /** The next `count`, as `topic payload`. */
  async take(count: number): Promise<string[]> {
    const lines: string[] = []
    while (lines.length < count) {
      const { topic, payload } = await this.next()
      lines.push(`${topic} ${payload}`)
    }
    return lines
  }
}

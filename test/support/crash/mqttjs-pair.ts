/**
 * MQTT.js, v5, over many brokers: one client publishes, one subscribes, and each keeps its session in its own way. They
 * connect again when they are told to.
 */
import { connect } from "node:net"
import { type ErrorWithReasonCode, MqttClient } from "mqtt"
import { Reason } from "../../../src/codec/index.ts"
import type { Received } from "../../listeners/socket.ts"
import type { Account } from "./account.ts"
import type { Ledger } from "./ledger.ts"
import { contentTypeOf, type Message, payloadOf } from "./message.ts"

/** How many messages are on their way at once. */
const WINDOW = 10
const EXPIRY_SECONDS = 3600
const PUBLISHER = { name: "mqtt.js publisher", level: 5 } as const
const SUBSCRIBER = { name: "mqtt.js subscriber", level: 5 } as const

export class MqttJsPair {
  /** How many messages it may still publish. */
  allowance = 0
  readonly account: Account
  private port = 0
  private isIn = false
  private isSubscribed = false
  private readonly unacknowledged = new Set<Message>()
  private newest: Message[] = []
  private readonly publisher: MqttClient
  private readonly subscriber: MqttClient
  private readonly ledger: Ledger
  private readonly topic: string

  constructor(ledger: Ledger, topic: string) {
    this.ledger = ledger
    this.topic = topic
    this.account = ledger.open(SUBSCRIBER)
    this.publisher = this.create(PUBLISHER.name)
    this.subscriber = this.create(SUBSCRIBER.name)
    this.publisher.on("connect", () => {
      this.isIn = true // and what it had begun before has been sent again
      this.publishMore()
    })
    this.publisher.on("close", () => {
      this.isIn = false
    })
    this.subscriber.on("connect", () => this.subscribe())
    this.subscriber.on("message", (_topic, _payload, packet) => this.account.arrived(packet as Received))
  }

  /** Whether everything that it has begun has come to its end, and the last that it published has come. */
  get isSettled(): boolean {
    const hasCome = this.newest.every((message) => this.account.arrivals.has(message))
    return this.isSubscribed && this.unacknowledged.size === 0 && hasCome
  }

  connect(port: number): void {
    this.port = port
    for (const client of [this.publisher, this.subscriber]) client.reconnect(client) // with the stores that it has
  }

  /** Resolves when the broker has answered the subscriber: what that sent before it has seen. */
  async ping(): Promise<void> {
    await this.subscriber.publishAsync("seen", "", { qos: 1 })
  }

  /** Resolves when both connections have gone. */
  async gone(): Promise<void> {
    for (const { stream } of [this.publisher, this.subscriber]) {
      if (stream === undefined || stream.closed) continue
      const closed = Promise.withResolvers<void>()
      stream.once("close", closed.resolve)
      stream.destroy()
      await closed.promise
    }
  }

  /** Publishes at QoS 1 and 2, each on a topic of its own, for MQTT.js hands on a message of QoS 2 only at its PUBREL. */
  publishMore(): void {
    while (this.isIn && this.isSubscribed && this.allowance > 0 && this.unacknowledged.size < WINDOW) {
      this.allowance--
      const qos = this.allowance % 2 === 0 ? 1 : 2
      const message = this.ledger.published(PUBLISHER, `${this.topic}/${qos}`, qos, false, 100)
      this.newest[qos - 1] = message
      this.unacknowledged.add(message)
      const properties = { contentType: contentTypeOf(message)! }
      this.publisher.publish(message.topic, payloadOf(message), { qos, properties }, (error) => {
        this.unacknowledged.delete(message)
        // It takes for an error that a PUBREL which it repeats had come before.
        const isDone = !error || (error as ErrorWithReasonCode).code === Reason.PacketIdentifierNotFound
        if (isDone) this.ledger.acknowledged(message)
        else this.ledger.report(`${PUBLISHER.name} could not publish message ${message.number}: ${error}`)
        this.publishMore()
      })
    }
  }

  private subscribe(): void {
    if (this.isSubscribed) return
    const topicFilter = `${this.topic}/+`
    const operation = this.account.ask(topicFilter, "subscribe", 2)
    const properties = { subscriptionIdentifier: operation.identifier }
    this.subscriber.subscribe(topicFilter, { qos: 2, properties }, (error) => {
      if (error) return // the broker died before its SUBACK
      this.account.acknowledged(operation)
      this.isSubscribed = true
      this.publishMore()
    })
  }

  private create(clientId: string): MqttClient {
    const client = new MqttClient(() => connect(this.port, "127.0.0.1"), {
      protocolVersion: 5,
      clientId,
      clean: false,
      keepalive: 0,
      manualConnect: true,
      reconnectPeriod: 0,
      resubscribe: false,
      properties: { sessionExpiryInterval: EXPIRY_SECONDS },
    })
    client.on("error", () => {}) // the broker has died, which its connection tells too
    return client
  }
}

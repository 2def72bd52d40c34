/**
 * A client for tests. It says what it is told to and notes what it hears; of itself it only acknowledges, and that can be
 * switched off. Its packets are not the work of the broker's own codec.
 */
import type { IAuthPacket, IConnackPacket, IPublishPacket, Packet } from "mqtt-packet"
import { ManjuError } from "../broker/errors.ts"
import type { Disconnection } from "../broker/hooks.ts"
import { isDisconnectReason, type Properties, type ProtocolLevel, Reason } from "../codec/index.ts"
import type { Accept } from "../listeners/custom.ts"
import { Awaited } from "./awaited.ts"
import { DisconnectedError, RefusedError } from "./errors.ts"
import { Inbox } from "./inbox.ts"
import type { TestMessage } from "./message.ts"
import {
  authPacket,
  connectPacket,
  publishPacket,
  subscribePacket,
  type TestClientOptions,
  type TestPublishOptions,
  type TestSubscribeOptions,
} from "./packets.ts"
import { decodeProperties, encodeProperties } from "./properties.ts"
import { Requests } from "./requests.ts"
import { settled } from "./settled.ts"
import { Wire } from "./wire.ts"

/** What the broker has said to the CONNECT. */
export interface TestConnack {
  /** `Success`: who is refused has no client. */
  readonly reason: Reason
  readonly isSessionPresent: boolean
  /** Those of MQTT 5; empty before. */
  readonly properties: Properties
}

/** How a test client's connection has ended. `reason` is undefined where nobody has said one. */
export interface TestDisconnection extends Disconnection {
  /** What the broker's DISCONNECT has said beside the reason. */
  readonly properties: Properties
}

/** The 3.x return codes of CONNACK, as the reasons that they stand for. */
const connectReasons: readonly Reason[] = [
  Reason.Success,
  Reason.UnsupportedProtocolVersion,
  Reason.ClientIdentifierNotValid,
  Reason.ServerUnavailable,
  Reason.BadUserNameOrPassword,
  Reason.NotAuthorized,
]

/**
 * A client of a `TestBroker` or a `TestListener`, in memory: real packets through a real connection of the broker, without a
 * socket and without a timer. What it sends and what it gets arrives in microtasks, never within the call that has caused it.
 *
 * A promise for an answer rejects with a `DisconnectedError` where the connection ends before; nobody has to wait for it.
 *
 * @example
 * const sensor = await broker.connect({ clientId: "sensor-1" })
 * const display = await broker.connect({ protocolLevel: 4 })
 * await display.subscribe("sensors/+/temp", { qos: 1 })
 * expect(await sensor.publish("sensors/1/temp", "21.5", { qos: 1 })).toBe(Reason.Success)
 * expect((await display.nextMessage()).text()).toBe("21.5")
 */
export class TestClient {
  readonly protocolLevel: ProtocolLevel
  /** Resolves when the connection has ended, whoever has ended it. */
  readonly closed: Promise<TestDisconnection>
  private accepted: TestConnack | undefined
  /** What the one who has said it first has said for a last word. */
  private goodbye: TestDisconnection | undefined
  private ended: TestDisconnection | undefined
  private readonly wire: Wire
  private readonly options: TestClientOptions
  private readonly chosenClientId: string
  private readonly connecting = Promise.withResolvers<TestClient>()
  private readonly ending = Promise.withResolvers<TestDisconnection>()
  private readonly requests = new Requests((packet) => this.send(packet))
  private readonly inbox = new Inbox()
  private readonly pings = new Awaited<void>()
  private readonly authentications = new Awaited<Reason>()

  private constructor(accept: Accept, clientId: string, options: TestClientOptions) {
    const { protocolLevel: level = 5, remoteAddress = "memory", certificate } = options
    this.protocolLevel = level
    this.options = options
    this.chosenClientId = clientId
    this.closed = this.ending.promise
    this.wire = new Wire(
      accept,
      { level, remoteAddress, certificate },
      {
        onPacket: (packet) => this.onPacket(packet),
        onEnd: () => this.end("broker"),
      },
    )
  }

  /**
   * Connects through what a `custom` listener was given; `TestBroker` and `TestListener` do it for you. Rejects with a
   * `RefusedError`, and with a `ManjuError`, `INVALID_OPTION`, for what no CONNECT of that level can say.
   */
  static async connect(accept: Accept, clientId: string, options: TestClientOptions = {}): Promise<TestClient> {
    const packet = connectPacket(clientId, options)
    const client = new TestClient(accept, clientId, options)
    try {
      client.wire.send(packet)
    } catch (error) {
      client.wire.cut()
      throw error
    }
    return client.connecting.promise
  }

  get connack(): TestConnack {
    return this.accepted!
  }

  /** By its own choice, or the broker's. */
  get clientId(): string {
    return this.connack.properties.assignedClientIdentifier ?? this.chosenClientId
  }

  /** Until either side has said goodbye, or the stream is broken. */
  get isConnected(): boolean {
    return this.accepted !== undefined && this.goodbye === undefined && this.ended === undefined
  }

  /** How the connection has ended, or is ending; undefined: it is not. */
  get disconnection(): TestDisconnection | undefined {
    return this.ended ?? this.goodbye
  }

  /** All that have come so far, whether or not `nextMessage` has given them out. */
  get messages(): readonly TestMessage[] {
    return this.inbox.messages
  }

  /** The first message that this has not given out yet: one that has come already, or the next to come. */
  nextMessage(): Promise<TestMessage> {
    return quiet(this.inbox.next())
  }

  /**
   * Publishes a message, and resolves with what the broker says to it: the reason of PUBACK, or of PUBREC and PUBCOMP; before
   * MQTT 5 that is `Success`. So it is at QoS 0, when the message has gone as far as it goes by itself.
   */
  publish(topic: string, payload: string | Uint8Array, options: TestPublishOptions = {}): Promise<Reason> {
    const send = async () => this.publishPacket(publishPacket(this.protocolLevel, topic, payload, options))
    return quiet(send())
  }

  /** Subscribes to one filter or several, and resolves with the reasons of SUBACK, in order: the QoS granted, or why not. */
  subscribe(filter: string | readonly string[], options: TestSubscribeOptions = {}): Promise<readonly Reason[]> {
    const send = async () => this.requests.ask(subscribePacket(this.protocolLevel, [filter].flat(), options))
    return quiet(send())
  }

  /** Takes subscriptions back, and resolves with the reasons of UNSUBACK, in order; before MQTT 5 each is `Success`. */
  unsubscribe(filter: string | readonly string[]): Promise<readonly Reason[]> {
    const unsubscriptions = [filter].flat()
    const reasons = this.requests.ask({ cmd: "unsubscribe", unsubscriptions })
    return quiet(reasons.then((given) => (given.length > 0 ? given : unsubscriptions.map(() => Reason.Success))))
  }

  /**
   * Acknowledges a message of QoS 1 or 2, for a client that does not by itself. MQTT 5: a reason from 0x80 on refuses it. At
   * QoS 2 this is PUBREC; what follows goes by itself.
   */
  acknowledge(message: TestMessage, reason: Reason = Reason.Success): void {
    if (message.qos > 0) this.send(ackPacket(message, reason))
  }

  /** Resolves when the broker has answered. */
  ping(): Promise<void> {
    return quiet(this.sendAndAwait({ cmd: "pingreq" }, this.pings))
  }

  /** MQTT 5: authenticates again, and resolves with `Success`; challenges are answered as at the beginning. */
  reauthenticate(data?: Uint8Array): Promise<Reason> {
    const packet = authPacket(Reason.ReAuthenticate, this.options.properties, data)
    return quiet(this.sendAndAwait(packet, this.authentications))
  }

  /**
   * Says goodbye, and resolves when the broker has closed. With `DisconnectWithWill` the will is due all the same. MQTT 5: with
   * properties, such as another `sessionExpirySeconds`. Rejects with `INVALID_OPTION` for a reason that no client can give.
   */
  async disconnect(reason: Reason = Reason.Success, properties: Properties = {}): Promise<void> {
    const isSayable = this.protocolLevel === 5 ? isDisconnectReason(reason, "client") : reason === Reason.Success
    if (!isSayable) throw new ManjuError("INVALID_OPTION", `this client cannot disconnect with ${reason}`)
    this.send({ cmd: "disconnect", reasonCode: reason, ...encodeProperties(this.protocolLevel, properties) })
    this.goodbye = { reason, by: "client", properties: {} }
    await this.closed
    await settled()
  }

  /** Breaks the stream, without a word: a will is due. Resolves when the broker has noticed. */
  async drop(): Promise<void> {
    this.wire.cut()
    this.end("network")
    await settled()
  }

  /** Sends bytes as they are: for what no well-behaved client would send. */
  sendBytes(bytes: Uint8Array): void {
    this.wire.sendBytes(bytes)
  }

  /** Takes nothing from the broker any more, whose backlog for this client grows. It has to read on to be closed in time. */
  stopReading(): void {
    this.wire.stopReading()
  }

  readOn(): void {
    this.wire.readOn()
  }

  private async publishPacket(packet: IPublishPacket): Promise<Reason> {
    if (packet.qos > 0) return this.requests.publish(packet)
    this.send(packet)
    await settled()
    return Reason.Success
  }

  private async sendAndAwait<A>(packet: Packet, answers: Awaited<A>): Promise<A> {
    this.send(packet)
    return answers.next()
  }

  private send(packet: Packet): void {
    if (this.disconnection !== undefined) throw this.whyNot()
    this.wire.send(packet)
  }

  /** Sends by itself, unless somebody has said goodbye. */
  private reply(packet: Packet): void {
    if (this.disconnection === undefined) this.wire.send(packet)
  }

  private onPacket(packet: Packet): void {
    switch (packet.cmd) {
      case "connack":
        this.onConnack(packet)
        break
      case "publish":
        this.onPublish(packet)
        break
      case "puback":
        this.requests.onAnswer(packet.messageId!, [reasonOf(packet)])
        break
      case "pubrec":
        if (this.requests.onReceived(packet.messageId!, reasonOf(packet))) {
          this.reply({ cmd: "pubrel", messageId: packet.messageId!, reasonCode: Reason.Success })
        }
        break
      case "pubrel":
        this.reply({ cmd: "pubcomp", messageId: packet.messageId!, reasonCode: Reason.Success })
        break
      case "pubcomp":
        this.requests.onCompleted(packet.messageId!, reasonOf(packet))
        break
      case "suback":
      case "unsuback":
        this.requests.onAnswer(packet.messageId!, (packet.granted ?? []) as Reason[])
        break
      case "pingresp":
        this.pings.give()
        break
      case "auth":
        this.onAuth(packet)
        break
      case "disconnect":
        this.goodbye ??= { reason: reasonOf(packet), by: "broker", properties: decodeProperties(packet) }
    }
  }

  private onConnack(packet: IConnackPacket): void {
    const reason = this.protocolLevel === 5 ? reasonOf(packet) : connectReasons[packet.returnCode!]!
    const properties = decodeProperties(packet)
    if (reason !== Reason.Success) {
      this.connecting.reject(new RefusedError(reason, properties))
      return
    }
    this.accepted = { reason, isSessionPresent: packet.sessionPresent, properties }
    this.requests.receiveMaximum = properties.receiveMaximum ?? 0xffff
    this.connecting.resolve(this)
  }

  private onPublish(packet: IPublishPacket): void {
    const message = this.inbox.put(packet)
    if (this.options.acknowledge !== false && message.qos > 0) this.reply(ackPacket(message))
  }

  private onAuth(packet: IAuthPacket): void {
    if (packet.reasonCode === Reason.Success) {
      this.authentications.give(Reason.Success)
      return
    }
    const { authenticationData } = decodeProperties(packet)
    const { properties } = this.options
    try {
      if (this.options.answerChallenge === undefined) throw new Error("the broker asks for more than this client knows")
      const answer = this.options.answerChallenge(authenticationData)
      this.reply(authPacket(Reason.ContinueAuthentication, properties, answer))
    } catch (error) {
      this.connecting.reject(error)
      this.authentications.fail(error as Error)
      void this.drop()
    }
  }

  private end(by: Disconnection["by"]): void {
    if (this.ended !== undefined) return
    this.ended = this.goodbye ?? { reason: undefined, by, properties: {} }
    this.connecting.reject(new RefusedError(undefined))
    const error = this.whyNot()
    this.requests.fail(error)
    this.inbox.close(error)
    this.pings.fail(error)
    this.authentications.fail(error)
    this.ending.resolve(this.ended)
  }

  private whyNot(): DisconnectedError {
    const { reason, properties } = this.disconnection!
    return new DisconnectedError(reason, properties)
  }
}

/** The same answer, for which nobody has to wait: that the connection has ended is no fault of the test's. */
function quiet<A>(answer: Promise<A>): Promise<A> {
  const { promise, resolve, reject } = Promise.withResolvers<A>()
  answer.then(resolve, (error) => {
    if (error instanceof DisconnectedError) promise.catch(() => {})
    reject(error)
  })
  return promise
}

function ackPacket({ qos, packetId }: TestMessage, reasonCode: Reason = Reason.Success): Packet {
  return { cmd: qos === 1 ? "puback" : "pubrec", messageId: packetId!, reasonCode }
}

function reasonOf({ reasonCode = Reason.Success }: { reasonCode?: number }): Reason {
  return reasonCode as Reason
}

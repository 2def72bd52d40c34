/**
 * What `manju sub` does with a connection: subscribes, prints what comes, and knows when it is over.
 *
 * A message of QoS 1 or 2 is acknowledged when it is printed, not before; what comes when it is over is not acknowledged, so
 * that a session that stays keeps it. That is why QoS 2 is printed with its PUBLISH rather than with its PUBREL, and not again
 * when that is repeated. A slow reader of the output makes the broker wait.
 */
import type { ClientSubscribeCallback, IPublishPacket, ISubscriptionMap, MqttClient } from "mqtt"
import pc from "picocolors"
import { matches } from "../../router/index.ts"
import { CommandFailure } from "../failure.ts"
import { Output } from "../output.ts"
import { stopSignal } from "../stop-signal.ts"
import { type Connection, notTaken } from "./connection.ts"
import type { Message } from "./message.ts"
import { type ClientFlags, misuse } from "./options.ts"
import { describePlace, topicInUrl } from "./place.ts"
import { type PrintFlags, printer } from "./printer.ts"
import { run, type Work } from "./run.ts"
import { type Settings, settingsOf } from "./settings.ts"
import { teller } from "./tell.ts"
import { because } from "./trouble.ts"

export interface SubFlags extends ClientFlags, PrintFlags {
  topic?: string[]
  filterOut?: string[]
  unsubscribe?: string[]
  count?: number
  timeout?: number
  onlySubscribe?: true
  /** False with `-R`. */
  retained: boolean
  retainedOnly?: true
  retainAsPublished?: true
  removeRetained?: true
}

type Suback = NonNullable<Parameters<ClientSubscribeCallback>[2]>

/** That of mosquitto_sub. */
const TIMED_OUT = 27
const REFUSED = 0x80
const sends = ["connect", "subscribe", "unsubscribe", "disconnect", "will"] as const
/** How long a reader of the output may take for the rest, when it is over. */
const LAST_WORDS_MS = 2000

/** Resolves with the exit code. */
export async function sub(flags: SubFlags): Promise<number> {
  const isTerminal = process.stdout.isTTY ?? false
  const paint = isTerminal ? pc.cyan : String // what goes elsewhere is data, whatever the environment says of colours
  const print = printer(flags, { isTerminal, paint, warn: teller(flags) })
  const settings = await settingsOf(flags, { name: "sub", sends, reconnects: true })
  const { topic = [], unsubscribe } = flags
  const filters = [...topic, ...(settings.topic === undefined ? [] : [topicInUrl(settings.topic, "filter")])]
  if (filters.length === 0 && unsubscribe === undefined) throw misuse("what to subscribe to? give -t")
  return new Subscriber(flags, filters, settings, print).run()
}

class Subscriber implements Work {
  private readonly flags: SubFlags
  private readonly filters: readonly string[]
  private readonly settings: Settings
  private readonly print: (message: Message) => Buffer
  private readonly output = new Output()
  private readonly finished = Promise.withResolvers<number>()
  private readonly stop = stopSignal()
  private isOver = false
  /** Whether the reader of the output is waited for, and nothing else from the broker is read. */
  private isWaiting = false
  private printed = 0
  /** Packet identifiers of QoS 2 messages that are printed and not released yet. */
  private readonly unreleased = new Set<number>()
  private readonly clearing = new Set<Promise<void>>()

  constructor(flags: SubFlags, filters: readonly string[], settings: Settings, print: (message: Message) => Buffer) {
    this.flags = flags
    this.filters = filters
    this.settings = settings
    this.print = print
  }

  /** Resolves with the exit code. */
  run(): Promise<number> {
    return run(this.settings, this.stop, this)
  }

  prepare(client: MqttClient): void {
    completeTopics(client)
    const last = this.flags.unsubscribe === undefined ? "suback" : "unsuback"
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack" && !packet.sessionPresent) this.unreleased.clear()
      if (packet.cmd === last && this.flags.onlySubscribe) this.isOver = true // what comes because of it may be right behind
    })
    client.on("packetsend", (packet) => {
      if (packet.cmd === "pubcomp") this.unreleased.delete(packet.messageId!)
    })
    client.options.customHandleAcks = async (_topic, _payload, packet: IPublishPacket, done) => {
      done((await this.take(client, packet)) ? 0 : notTaken)
      this.finishIfOver()
    }
    client.handleMessage = async (packet, done) => {
      if (packet.qos === 0) await this.take(client, packet)
      done()
      this.finishIfOver()
    }
  }

  async act(connection: Connection): Promise<number> {
    const { timeout } = this.flags
    if (timeout !== undefined) setTimeout(() => this.timeOut(timeout), timeout * 1000)
    void this.stop.then(() => this.finish(0))
    void this.output.closed.then(() => this.finish(0), this.finished.reject)
    const { client } = connection
    if (client.keepalive > 0) setInterval(() => this.stayAlive(client), (client.keepalive * 1000) / 2)
    const subscribe = () => void this.subscribe(client).catch(this.finished.reject)
    connection.onReturn(({ sessionPresent }) => sessionPresent || client.once("connect", subscribe))
    subscribe()
    const code = await this.finished.promise
    this.isOver = true
    await Promise.all(this.clearing)
    await Promise.race([this.output.end(), Bun.sleep(LAST_WORDS_MS)])
    return code
  }

  stopped(): number {
    return 0
  }

  /** While nothing is read, MQTT.js does not see the broker's answers to its pings, and would give up. */
  private stayAlive(client: MqttClient): void {
    if (!this.isWaiting || !client.connected) return
    client.sendPing()
    client.reschedulePing(true)
  }

  /** With -E that is told by the answer to the subscriptions alone. */
  private finishIfOver(): void {
    if (this.isOver && !this.flags.onlySubscribe) this.finish(0)
  }

  private finish(code: number): void {
    this.finished.resolve(code)
  }

  private timeOut(seconds: number): void {
    this.settings.tell(`timed out after ${seconds === 1 ? "a second" : `${seconds} seconds`}`)
    this.finish(TIMED_OUT)
  }

  /**
   * Rejects with a `CommandFailure` when nothing is granted. Without an answer the connection is gone: when it is back, this
   * happens once more.
   */
  private async subscribe(client: MqttClient): Promise<void> {
    const { qos, retainAsPublished: rap = false, unsubscribe, onlySubscribe } = this.flags
    const { properties } = this.settings
    if (this.filters.length > 0) {
      const wanted: ISubscriptionMap = Object.fromEntries(this.filters.map((filter) => [filter, { qos, rap }]))
      const { promise, resolve } = Promise.withResolvers<Suback | undefined>()
      client.subscribe(wanted, { properties: properties.get("subscribe") }, (_, __, suback) => resolve(suback))
      const suback = await promise
      if (suback === undefined) return
      this.assertGranted(Object.keys(wanted), suback)
    }
    if (unsubscribe !== undefined) {
      const { promise, resolve } = Promise.withResolvers<Error | undefined>()
      client.unsubscribe(unsubscribe, { properties: properties.get("unsubscribe") }, resolve)
      if (await promise) return
    }
    if (onlySubscribe) this.finish(0)
  }

  private assertGranted(filters: readonly string[], { granted, properties }: Suback): void {
    const refused = filters.flatMap((filter, index) => {
      const code = Number(granted[index])
      return code < REFUSED ? [] : [`${filter}: ${because(code, properties?.reasonString)}`]
    })
    const place = describePlace(this.settings.place)
    if (refused.length === filters.length) {
      throw new CommandFailure(`${place} refused the subscription to ${refused.join(", and to ")}`)
    }
    for (const each of refused) this.settings.tell(`${place} refused the subscription to ${each}`)
  }

  /** Resolves with whether it may be acknowledged. */
  private async take(client: MqttClient, packet: IPublishPacket): Promise<boolean> {
    const { topic, payload, qos, retain, dup, messageId = 0, properties } = packet
    const { filterOut = [], retained, retainedOnly, removeRetained, count } = this.flags
    if (qos === 2 && dup && this.unreleased.has(messageId)) return true
    if (retainedOnly && !retain) this.isOver = true
    if (this.isOver) return false
    if (qos === 2) this.unreleased.add(messageId)
    if (retain && !retained) return true
    if (filterOut.some((filter) => matches(filter, topic))) return true
    if (retain && removeRetained) this.clear(client, topic)
    const isLast = ++this.printed === count
    if (isLast) this.isOver = true
    const message = { topic, payload: payload as Buffer, qos, retain, messageId, properties, came: new Date() }
    const room = this.output.write(this.print(message))
    this.isWaiting = true
    const isPrinted = await (qos > 0 || isLast ? this.output.drain() : room)
    this.isWaiting = false
    return isPrinted ?? true
  }

  private clear(client: MqttClient, topic: string): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.clearing.add(promise)
    client.publish(topic, "", { qos: 1, retain: true }, (error) => {
      if (error) this.settings.tell(`${topic} is still retained: ${error.message}`)
      this.clearing.delete(promise)
      resolve()
    })
  }
}

/** Gives packets that come with an alias alone their topic: MQTT.js does that for QoS 0 and 1 only, and not in the packet. */
function completeTopics(client: MqttClient): void {
  const topics = new Map<number, string>()
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "connack") topics.clear()
    if (packet.cmd !== "publish") return
    const alias = packet.properties?.topicAlias
    if (alias === undefined) return
    if (packet.topic === "") packet.topic = topics.get(alias) ?? ""
    else topics.set(alias, packet.topic)
  })
}

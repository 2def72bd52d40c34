/**
 * What `manju pub` does with a connection: publishes one message after the other, no more at once than the broker takes and
 * `-M` allows, and waits until all of them are acknowledged. No more is read than can be sent.
 */
import type { IConnackPacket, IPublishPacket, MqttClient, Packet } from "mqtt"
import { readBytes } from "../../auth/text-file.ts"
import { CommandFailure } from "../failure.ts"
import { standardInput } from "../stdin.ts"
import { stopSignal } from "../stop-signal.ts"
import type { Connection } from "./connection.ts"
import { linesOf } from "./lines.ts"
import { type ClientFlags, misuse } from "./options.ts"
import { describePlace, topicInUrl } from "./place.ts"
import { run, type Work } from "./run.ts"
import { type Settings, settingsOf } from "./settings.ts"
import { because } from "./trouble.ts"

export interface PubFlags extends ClientFlags {
  topic?: string
  message?: string
  file?: string
  nullMessage?: true
  stdinFile?: true
  stdinLine?: true
  retain?: true
  maxInflight: number
  repeat: number
  repeatDelay: number
}

const sends = ["connect", "publish", "disconnect", "will"] as const
/** MQTT 5 §3.1.2.11.3, for a broker that does not say. */
const RECEIVE_MAXIMUM = 65_535
/** How often a connection may end before anything is acknowledged: what is sent again may be what ends it. */
const MOST_FRUITLESS = 3

/** The payloads to publish: many as they come, or one several times. */
type Payloads = { readonly lines: AsyncIterable<Buffer> } | { readonly once: Buffer }

/** Resolves with the exit code. */
export async function pub(flags: PubFlags): Promise<number> {
  assertKind(flags)
  const settings = await settingsOf(flags, { name: "pub", sends, reconnects: flags.stdinLine ?? false })
  const topic = flags.topic ?? (settings.topic === undefined ? undefined : topicInUrl(settings.topic, "name"))
  if (topic === undefined) throw misuse("where to publish? give -t")
  return new Publisher(topic, await payloadsOf(flags), flags, settings).run()
}

function assertKind({ message, file, nullMessage, stdinFile, stdinLine }: PubFlags): void {
  if ((message ?? file ?? nullMessage ?? stdinFile ?? stdinLine) === undefined) {
    throw misuse("what to publish? give one of -m, -f, -n, -s and -l")
  }
}

async function payloadsOf({ message, file, stdinFile, stdinLine }: PubFlags): Promise<Payloads> {
  if (stdinLine) return { lines: linesOf(standardInput()) }
  if (stdinFile) return { once: Buffer.concat(await Array.fromAsync(standardInput())) }
  if (file !== undefined) return { once: await readBytes(file) }
  return { once: Buffer.from(message ?? "") }
}

class Publisher implements Work {
  private readonly topic: string
  private readonly payloads: Payloads
  private readonly flags: PubFlags
  private readonly settings: Settings
  private readonly stop = stopSignal()
  private published = 0
  private acknowledged = 0
  private readonly refusals = new Map<string, number>()
  private limit = 1
  private largestBytes = Number.POSITIVE_INFINITY
  private stir: () => void = () => {}

  constructor(topic: string, payloads: Payloads, flags: PubFlags, settings: Settings) {
    this.topic = topic
    this.payloads = payloads
    this.flags = flags
    this.settings = settings
  }

  /** Resolves with the exit code. */
  run(): Promise<number> {
    return run(this.settings, this.stop, this)
  }

  async act(connection: Connection): Promise<number> {
    this.adapt(connection.connack)
    const doomed = Promise.withResolvers<never>()
    let [fruitless, before] = [0, 0]
    connection.onReturn((connack) => {
      this.adapt(connack)
      fruitless = this.acknowledged > before || this.waiting === 0 ? 0 : fruitless + 1
      before = this.acknowledged
      if (fruitless < MOST_FRUITLESS) return
      doomed.reject(new CommandFailure(`${this.place} ends the connection again and again without an acknowledgement`))
    })
    const stopped = this.stop.then(() => this.stopped())
    await Promise.race([this.publishAll(connection.client), stopped, doomed.promise])
    this.assertAccepted()
    return 0
  }

  /** Whatever is left undone is a failure. */
  stopped(): number {
    if ("lines" in this.payloads && this.waiting === 0) return 0
    throw new CommandFailure(`stopped with ${this.acknowledged} of ${this.published} messages acknowledged`)
  }

  private get place(): string {
    return describePlace(this.settings.place)
  }

  /** How many are published and not acknowledged; of QoS 0, not written. */
  private get waiting(): number {
    return this.published - this.acknowledged
  }

  private adapt({ properties }: IConnackPacket): void {
    const { topicAlias } = this.settings.properties.get("publish") ?? {}
    const { receiveMaximum = RECEIVE_MAXIMUM, maximumPacketSize, topicAliasMaximum = 0 } = properties ?? {}
    if (Number(topicAlias) > topicAliasMaximum)
      throw new CommandFailure(`${this.place} takes topic aliases to ${topicAliasMaximum}`)
    this.limit = this.flags.repeat > 1 ? 1 : Math.min(this.flags.maxInflight, receiveMaximum)
    this.largestBytes = maximumPacketSize ?? Number.POSITIVE_INFINITY
  }

  private async publishAll(client: MqttClient): Promise<void> {
    for await (const payload of this.all()) {
      await this.until(() => this.waiting < this.limit)
      this.publish(client, payload)
    }
    await this.until(() => this.waiting === 0)
  }

  private async *all(): AsyncGenerator<Buffer> {
    const { payloads } = this
    if ("lines" in payloads) return yield* payloads.lines
    yield payloads.once
    for (let i = 1; i < this.flags.repeat; i++) {
      await this.until(() => this.waiting === 0)
      await Bun.sleep(this.flags.repeatDelay * 1000)
      yield payloads.once
    }
  }

  private publish(client: MqttClient, payload: Buffer): void {
    const { qos, retain = false } = this.flags
    const properties = this.settings.properties.get("publish") as IPublishPacket["properties"]
    this.published++
    if (Buffer.byteLength(this.topic) + payload.length > this.largestBytes) {
      this.onDone(`packets may have ${this.largestBytes} bytes there`)
      return
    }
    client.publish(this.topic, payload, { qos, retain, ...(properties && { properties }) }, (error, packet) => {
      this.onDone(error ? problemOf(error, packet) : undefined)
    })
  }

  private onDone(problem: string | undefined): void {
    this.acknowledged++
    if (problem !== undefined) {
      const count = this.refusals.get(problem) ?? 0
      this.refusals.set(problem, count + 1)
      if (count === 0 && "lines" in this.payloads)
        this.settings.tell(`${this.place} refused message ${this.published}: ${problem}`)
    }
    this.stir()
  }

  private assertAccepted(): void {
    const refused = this.refusals.values().reduce((sum, count) => sum + count, 0)
    if (refused === 0) return
    const what = this.published === 1 ? "the message" : `${refused} of ${this.published} messages`
    throw new CommandFailure(`${this.place} refused ${what}: ${[...this.refusals.keys()].join(", ")}`)
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.stir = resolve
      })
    }
  }
}

function problemOf(error: Error & { code?: number }, packet: Packet | undefined): string {
  if (error.code === undefined) return error.message
  const { properties } = (packet ?? {}) as { properties?: { reasonString?: string } }
  return because(error.code, properties?.reasonString)
}

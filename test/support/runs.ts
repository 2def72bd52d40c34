/**
 * Runs of a broker on one store, one after the other. A run ends as in a crash: nobody is told, nothing is tidied up.
 * Time goes on while the broker is down.
 *
 * What a client causes is durable when a method has resolved, so that a crash afterwards may lose none of it.
 */
import type { Limits } from "../../src/broker/limits.ts"
import type { Auth, Store, Stored } from "../../src/broker/ports.ts"
import { restore } from "../../src/broker/restore.ts"
import { memory } from "../../src/store/memory.ts"
import { type ConnectFields, durable, Harness, type Received, type TestClient } from "./harness.ts"
import { microtasks } from "./store.ts"

/** What a client may send before it has to wait for acknowledgements. */
const MOST_AT_ONCE = 1024

export class Runs {
  readonly store: Store
  harness: Harness
  private readonly startedAt: number
  private readonly auth: Auth | undefined

  /** The first run, on a store that may be empty; `restart` begins every other. Without an auth everybody is let in. */
  constructor(limits: Partial<Limits> = {}, store = memory(), auth?: Auth) {
    this.store = store
    this.auth = auth
    this.harness = this.begin(limits)
    this.startedAt = this.harness.clock.now()
  }

  /** Crashes, stays down for `downSeconds`, and takes in what is stored. */
  async restart(downSeconds = 0, limits: Partial<Limits> = this.harness.core.limits): Promise<void> {
    await this.settled()
    const passedMs = this.harness.clock.now() - this.startedAt
    this.harness = this.begin(limits)
    this.harness.clock.advance(passedMs / 1000 + downSeconds)
    await restore(this.harness.core, this.store)
    await this.settled()
  }

  /** Resolves when everything that has happened is durable, and what waited for that has happened too. */
  async settled(): Promise<void> {
    const { changes } = this.harness.core
    do {
      await changes.settled()
      await microtasks()
    } while (changes.durable < changes.appended)
  }

  /** Lets time pass. */
  async pass(seconds: number): Promise<void> {
    this.harness.clock.advance(seconds)
    await this.settled()
  }

  /** Lets a little pass: a deadline is met a tick late, and so is one that passed while the broker was down. */
  moment(): Promise<void> {
    return this.pass(0.5)
  }

  /** A client that finds nothing of an earlier session; its session outlives it unless `fields` say otherwise. */
  client(clientId: string, fields: ConnectFields = durable()): Promise<TestClient> {
    return this.connect(clientId, fields, false)
  }

  /** A client that finds its session again; what comes after the CONNACK is in `received`. */
  resume(clientId: string, fields: ConnectFields = durable()): Promise<TestClient> {
    return this.connect(clientId, fields, true)
  }

  /** Subscribes, and takes what comes of it. */
  async subscribe(client: TestClient, ...parameters: Parameters<TestClient["subscribe"]>): Promise<Received[]> {
    client.subscribe(...parameters)
    await this.settled()
    return client.take()
  }

  /** Publishes from clients that come and go, at QoS 1 and not retained unless said. */
  async publish(topic: string, payloads: string | string[], options: Parameters<TestClient["publish"]>[2] = {}) {
    const rest = [payloads].flat()
    while (rest.length > 0) {
      const publisher = this.harness.client("publisher")
      for (const payload of rest.splice(0, MOST_AT_ONCE)) publisher.publish(topic, payload, { qos: 1, ...options })
      await this.settled()
      publisher.drop()
    }
  }

  /** The network of a client fails. */
  async drop(client: TestClient): Promise<void> {
    client.drop()
    await this.settled()
  }

  /** Acknowledges to the end whatever comes, until nothing more does: the payloads in their order. */
  async drain(client: TestClient): Promise<string[]> {
    const payloads: string[] = []
    for (;;) {
      await this.settled()
      const packets = client.take()
      if (packets.length === 0) return payloads
      for (const { cmd, qos, messageId, payload } of packets) {
        if (cmd === "publish") payloads.push(String(payload))
        if (cmd === "publish" && qos > 0) client.ack(qos === 1 ? "puback" : "pubrec", messageId!)
        if (cmd === "pubrel") client.ack("pubcomp", messageId!)
      }
    }
  }

  /** What the store would give the next run, deliveries that wait in the sums of their queues only. */
  async stored(...kinds: Stored["kind"][]): Promise<Stored[]> {
    await this.settled()
    const items = await Array.fromAsync(this.store.load())
    return items.filter(({ kind }) => kinds.includes(kind))
  }

  private begin(limits: Partial<Limits>): Harness {
    return new Harness({ store: this.store, limits, ...(this.auth && { auth: this.auth }) })
  }

  private async connect(clientId: string, fields: ConnectFields, isPresent: boolean): Promise<TestClient> {
    const client = this.harness.connect({ clientId, ...fields })
    await this.settled()
    const connack = client.received.shift()
    const isAsExpected = client.level === 3 || connack?.sessionPresent === isPresent // MQTT 3.1 does not tell
    if (connack?.cmd !== "connack" || !isAsExpected) throw new Error(`${clientId}: ${JSON.stringify(connack)}`)
    return client
  }
}

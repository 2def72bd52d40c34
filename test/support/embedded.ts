/**
 * A broker as a service embeds it, without sockets: the clock is the test's, and clients come through a listener in memory. What is not
 * closed is closed after each test.
 */
import { afterEach } from "bun:test"
import { allowAll } from "../../src/auth/allow.ts"
import type { ApplicationMessage } from "../../src/broker/application-message.ts"
import { Broker } from "../../src/broker/broker.ts"
import type { Core } from "../../src/broker/core.ts"
import type { BrokerOptions, Listener } from "../../src/broker/options.ts"
import { BlockPool } from "../../src/connection/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { type ConnectFields, Harness, TestClient } from "./harness.ts"

export interface Embedded {
  readonly broker: Broker
  /** What is in the broker, to look at. */
  readonly core: Core
  readonly clock: ManualClock
  /** How many subscriptions of its own the broker knows, and how many requests wait. */
  open(): { subscriptions: number; requests: number }
  /** What the broker has logged, as `level text`. */
  readonly logged: string[]
  /** A client that is in, with nothing in `received`; with a store, its CONNACK is yet to come. */
  client(clientId: string, fields?: ConnectFields): TestClient
}

/** What a broker keeps of them: an entry that is left there would be a leak that nothing else shows. */
interface Kept {
  readonly subscriptions: { readonly open: ReadonlySet<unknown> }
  readonly requests: { readonly pending: ReadonlyMap<string, unknown> }
}

const brokers: Broker[] = []

afterEach(async () => {
  for (const broker of brokers.splice(0)) await broker.close({ timeoutMs: 1 })
})

/** A broker without `$SYS`, unless the options say otherwise. */
export async function embed(options: BrokerOptions = {}): Promise<Embedded> {
  const clock = new ManualClock()
  const logged: string[] = []
  const log = (level: string) => (message: string) => void logged.push(`${level} ${message}`)
  const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") }
  const limits = { sysIntervalSeconds: 0, ...options.limits }
  const broker = new Broker({ clock, logger, ...options, limits })
  brokers.push(broker)
  const core = await coreOf(broker)
  const pool = new BlockPool()
  const serving = new Harness().listener({}, allowAll())
  const client = (clientId: string, fields: ConnectFields = {}) => {
    const client = new TestClient(core, pool, serving, fields.level ?? 5).connect({ clientId, ...fields })
    client.received.shift()
    return client
  }
  const { subscriptions, requests } = broker as unknown as Kept
  const open = () => ({ subscriptions: subscriptions.open.size, requests: requests.pending.size })
  return { broker, core, clock, open, logged, client }
}

/** What a broker shows to its listeners. Takes in what its store holds. */
async function coreOf(broker: Broker): Promise<Core> {
  const { promise, resolve } = Promise.withResolvers<Core>()
  const listener: Listener = {
    id: "memory",
    async open(core) {
      resolve(core)
      return { hostname: "memory", port: 1 }
    },
    close() {},
  }
  await broker.listen(listener)
  return promise
}

/** The payloads of the next `count` messages. */
export async function take(messages: AsyncIterable<ApplicationMessage>, count: number): Promise<string[]> {
  const iterator = messages[Symbol.asyncIterator]()
  const payloads: string[] = []
  while (payloads.length < count) {
    const { value, done } = await iterator.next()
    payloads.push(done ? "(ended)" : value.text())
  }
  return payloads
}

/** The payloads of all that come until it ends. */
export async function takeAll(messages: AsyncIterable<ApplicationMessage>): Promise<string[]> {
  const payloads: string[] = []
  for await (const message of messages) payloads.push(message.text())
  return payloads
}

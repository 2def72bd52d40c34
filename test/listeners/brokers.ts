/** Brokers for the tests of the listeners: with any listener, with what they log noted, and closed after the test. */
import { Broker } from "../../src/broker/broker.ts"
import type { BrokerOptions, Listener } from "../../src/broker/options.ts"
import type { Auth, Client, Connecting, Logger } from "../../src/broker/ports.ts"
import type { ManualClock } from "../../src/testing/clock.ts"
import { coreOf, eventually } from "./socket.ts"

const open: Broker[] = []

/** For `afterEach`. */
export async function closeBrokers(): Promise<void> {
  await Promise.all(open.splice(0).map((broker) => broker.close({ timeoutMs: 0 })))
}

/** A broker with that listener open. */
export async function serve(listener: Listener, options: BrokerOptions = {}) {
  const logged: string[] = []
  const note = (level: keyof Logger) => (message: string) => void logged.push(`${level}: ${message}`)
  const logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") }
  const broker = new Broker({ logger, ...options })
  open.push(broker)
  const { port, hostname } = await broker.listen(listener)
  return { broker, core: coreOf(broker), port, hostname, logged }
}

/** Lets time pass, so that files are looked at, until the condition is true. */
export async function lookUntil(clock: ManualClock, condition: () => boolean, what: string): Promise<void> {
  await eventually(() => {
    if (!condition()) clock.advance(1)
    return condition()
  }, what)
}

/** Lets files be looked at for ten seconds more, for what must not happen. */
export async function lookAgain(clock: ManualClock): Promise<void> {
  for (let second = 0; second < 10; second++) {
    clock.advance(1)
    await Bun.sleep(1)
  }
}

/** What `broker.listen` or the making of the listener fails with, as `code: message`. */
export async function refusal(make: () => Listener): Promise<string> {
  const broker = new Broker()
  open.push(broker)
  try {
    await broker.listen(make())
    return "it listens"
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code}: ${message}`
  }
}

/** Lets everybody in, and remembers who has asked. */
export class Doorman implements Auth {
  readonly asked: Connecting[] = []
  /** Whom it has been asked about since they were in. */
  readonly clients: Client[] = []

  authenticate(client: Connecting): true {
    this.asked.push(client)
    return true
  }

  authorize(client: Client): true {
    this.clients.push(client)
    return true
  }
}

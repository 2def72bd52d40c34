/** How the command ends: a signal asks for it, a second one does not wait. */
import { constants } from "node:os"
import type { Broker } from "../broker/broker.ts"
import type { Stopped } from "../broker/hooks.ts"

const FAILURE = 1
/** What a shell gives for a process that a signal has ended, less the signal's number. */
const BY_SIGNAL = 128

type StopSignal = "SIGTERM" | "SIGINT"

/** The signals that ask for an end, from when it is made. */
export class StopSignals {
  readonly first: Promise<StopSignal>
  readonly second: Promise<StopSignal>

  constructor() {
    const first = Promise.withResolvers<StopSignal>()
    const second = Promise.withResolvers<StopSignal>()
    let count = 0
    for (const name of ["SIGTERM", "SIGINT"] as const)
      process.on(name, () => (count++ === 0 ? first : second).resolve(name))
    this.first = first.promise
    this.second = second.promise
  }
}

/**
 * Closes the broker and says what has come of it; a second signal ends that. Gives the exit code: 0; 1 where something could not be stored;
 * 128 and the signal's number after a second one.
 */
export async function stop(broker: Broker, signals: StopSignals, timeoutMs: number): Promise<number> {
  let unstored = 0
  broker.use({
    onStopped(stopped) {
      unstored = stopped.unstored
      broker.logger.info(endOf(stopped))
    },
  })
  const closed = broker.close({ timeoutMs }).then(() => (unstored > 0 ? FAILURE : 0))
  const hurried = signals.second.then((name) => {
    broker.logger.warn(`${name}: stopped at once, without waiting for clients and the database`)
    return BY_SIGNAL + constants.signals[name]
  })
  return Promise.race([closed, hurried])
}

function endOf({ clients, cutOff, unstored }: Stopped): string {
  const parts = clients === 0 ? [] : [`said goodbye to ${counted(clients, "client")}`]
  if (cutOff > 0) parts.push(`cut off ${counted(cutOff, "connection")} that did not end`)
  if (unstored > 0) parts.push(`${counted(unstored, "change")} not stored`)
  return parts.length === 0 ? "stopped" : `stopped: ${parts.join(", ")}`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}

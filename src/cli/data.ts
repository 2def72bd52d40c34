import { existsSync } from "node:fs"
import { ManjuError } from "../broker/errors.ts"
import { backup, inspect } from "../store/sqlite/inspect.ts"
import { print } from "./output.ts"

/** `manju check --data FILE`: says what a database holds. */
export async function describeData(data: string): Promise<void> {
  const held = attempt(data, () => inspect(data))
  const counts = [
    [held.sessions, "session", "sessions"],
    [held.subscriptions, "subscription", "subscriptions"],
    [held.waiting, "message that waits", "messages that wait"],
    [held.inflight, "message in flight", "messages in flight"],
    [held.retained, "retained message", "retained messages"],
    [held.payloadBytes, "byte of payload", "bytes of payload"],
  ] as const
  const lines = counts.map(([value, one, several]) => `${String(value).padStart(12)} ${value === 1 ? one : several}\n`)
  await print(`${data} can be read. It holds:\n${lines.join("")}`)
}

/** `manju backup --data FILE --to FILE`: copies a database, whether or not a broker is using it. */
export function copy({ data, to }: { data: string; to: string }): void {
  if (to === "") throw new ManjuError("INVALID_OPTION", "--to takes the name of a file")
  if (existsSync(to)) throw new ManjuError("INVALID_OPTION", `--to ${to} is there already`)
  attempt(data, () => backup(data, to))
  console.log(`${data} copied to ${to}`)
}

function attempt<T>(path: string, act: () => T): T {
  if (!existsSync(path)) throw new ManjuError("INVALID_OPTION", `--data ${path} does not exist`)
  try {
    return act()
  } catch (error) {
    throw new ManjuError("STORE_FAILED", (error as Error).message, { cause: error })
  }
}

import { existsSync } from "node:fs"
import { ManjuError } from "../broker/errors.ts"
import { backup, inspect } from "../store/sqlite/inspect.ts"

/** `manju check --data FILE`: says what a database holds. */
export function check({ data }: { data: string }): void {
  const held = attempt(data, () => inspect(data))
  console.log(`${data} can be read. It holds`)
  for (const [name, value] of [
    ["sessions", held.sessions],
    ["subscriptions", held.subscriptions],
    ["messages that wait", held.waiting],
    ["messages in flight", held.inflight],
    ["retained messages", held.retained],
    ["bytes of payload", held.payloadBytes],
  ] as const) {
    console.log(`${String(value).padStart(12)} ${name}`)
  }
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

/** The life of `manju pub` and `manju sub`: connect, work, say goodbye. */
import type { MqttClient } from "mqtt"
import { CommandFailure } from "../failure.ts"
import { Connection } from "./connection.ts"
import type { Settings } from "./settings.ts"

const FAILURE = 1

export interface Work {
  /** Called with the client before anything can come. */
  prepare?(client: MqttClient): void
  /** Resolves with the exit code. Given up when the connection is lost for good. */
  act(connection: Connection): Promise<number>
  /** Gives the exit code where it was stopped before there was a connection. */
  stopped(): number
}

/** Resolves with the exit code; rejects with a `CommandFailure`, but for `--quiet`, of which nobody is to be told. */
export async function run(settings: Settings, stop: Promise<void>, work: Work): Promise<number> {
  try {
    const opening = Connection.open(settings, work.prepare?.bind(work))
    const connection = await Promise.race([opening, stop])
    if (connection === undefined) return work.stopped()
    try {
      return await Promise.race([work.act(connection), connection.lost])
    } finally {
      await connection.close()
    }
  } catch (error) {
    if (settings.isQuiet && error instanceof CommandFailure) return FAILURE
    throw error
  }
}

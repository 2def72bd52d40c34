/**
 * How a broker ends, within a time: nobody is let in any more; what waits for the store is stored, and then acknowledged; clients are told,
 * and given time to read that; their wills are published; and what that has changed is stored as well.
 */
import { Reason } from "../codec/index.ts"
import type { Core } from "./core.ts"
import type { Stopped } from "./hooks.ts"
import type { Listener } from "./options.ts"
import type { Store } from "./ports.ts"

/** How soon it is looked again whether everybody has gone: at first, and at most. */
const POLL_MS = { first: 1, most: 20 }
/** What the store has for its own end, also when everything else has taken all the time there was. */
const STORE_CLOSE_MS = 1000

/** Something that ends with the broker. */
interface Ending {
  close(): void
}

/** The broker around the core. */
export interface Closing {
  readonly listeners: Iterable<Listener>
  readonly store: Store | undefined
  readonly requests: Ending
  readonly subscriptions: Ending
  /** The figures under `$SYS`. */
  readonly sys: { stop(): void }
}

/** Resolves after `timeoutMs` at the latest, and a second more for a store that does not close. */
export async function close(core: Core, closing: Closing, timeoutMs: number): Promise<Stopped> {
  core.isStopping = true
  for (const listener of closing.listeners) listener.close()
  closing.requests.close()
  closing.sys.stop()
  const deadline = performance.now() + timeoutMs
  const leftMs = () => Math.max(0, deadline - performance.now())
  // Half of the time is for those who then read their goodbye. A store that fails is known to take all of it.
  if (!core.changes.isFailing) await atMost(leftMs() / 2, core.changes.settled())
  const clients = core.clients.size
  for (const peer of [...core.peers]) peer.disconnect(Reason.ServerShuttingDown)
  for (let pollMs = POLL_MS.first; core.peers.size > 0 && leftMs() > 0; pollMs *= 2) {
    await Bun.sleep(Math.min(pollMs, POLL_MS.most))
  }
  const cutOff = core.peers.size
  for (const peer of [...core.peers]) peer.destroy()
  await atMost(leftMs() / 2, Promise.all(core.wills.undecided))
  core.auths.close() // not before: goodbyes make wills, and who may receive those is asked to the last
  closing.subscriptions.close()
  await atMost(leftMs(), core.changes.settled())
  core.retained.flush()
  core.totals.save()
  await atMost(leftMs(), core.changes.settled())
  core.logger.flush()
  core.timers.close()
  core.stopRetrying()
  const unstored = await closeStore(core, closing.store, Math.max(leftMs(), STORE_CLOSE_MS))
  return { clients, cutOff, unstored }
}

/** Gives how many changes are not stored. */
async function closeStore({ changes, logger }: Core, store: Store | undefined, timeoutMs: number): Promise<number> {
  if (store === undefined) return 0
  let failure: string | undefined = "it does not answer"
  const closed = store.close().then(
    () => (failure = undefined),
    (error) => (failure = error instanceof Error ? error.message : String(error)),
  )
  await atMost(timeoutMs, closed)
  const unstored = changes.appended - changes.durable
  const why = failure === undefined ? "" : `: ${failure}`
  const count = unstored === 1 ? "1 change" : `${unstored} changes`
  if (unstored > 0) logger.error(`closing with ${count} not stored${why}`, { area: "store" })
  else if (failure !== undefined) logger.error(`the store has not closed as it should${why}`, { area: "store" })
  return unstored
}

/** Waits for `promise`, but no longer than that. */
async function atMost(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([promise, timeout])
  clearTimeout(timer)
}

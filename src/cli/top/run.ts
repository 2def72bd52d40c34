/**
 * Asks a broker for its live stream and shows what it sends: on a terminal one frame over the other, elsewhere one below the other. When the
 * stream breaks off, as it does when the broker is started again, it is asked for anew; a broker that refuses ends it.
 */
import type { MetricsSnapshot } from "../../broker/admin.ts"
import type { Environment } from "../../config/environment.ts"
import { parseTopicFilter } from "../../router/index.ts"
import { AdminClient, ApiRefusal, type LiveEvent } from "../admin-client.ts"
import type { AdminFlags } from "../admin-options.ts"
import { LONGEST_TOPIC } from "../client/options.ts"
import { CommandFailure } from "../failure.ts"
import { Output } from "../output.ts"
import { stopSignal } from "../stop-signal.ts"
import { isTerminal, styledFor } from "../terminal.ts"
import { Board, type Snapshot } from "./board.ts"
import { type Frame, type Paint, plainLines, plainObject, screenLines } from "./frame.ts"
import { Screen } from "./screen.ts"
import { pressed, type View } from "./view.ts"

/** What commander gives. */
export interface TopFlags extends AdminFlags {
  topics: string
  interval: number
  rows: number
  once?: true
  json?: true
}

/** What the broker is asked for; a frame shows those that there is room for. */
const BUSIEST_CLIENTS = 100
const RETRY_MS = 1000
const paint: Paint = (style, text) => styledFor("stdout", style, text)

/** Resolves when somebody ends it, or nobody reads any more. Throws a `CommandFailure`. */
export async function top(flags: TopFlags, environment: Environment): Promise<void> {
  const api = await AdminClient.from(flags, environment)
  const isOnScreen = isTerminal("stdout") && !flags.once && !flags.json
  const ended = new AbortController()
  void stopSignal().then(() => ended.abort())
  await new Top(api, flags, ended)[isOnScreen ? "onScreen" : "inLines"]()
}

class Top {
  private readonly api: AdminClient
  private readonly flags: TopFlags
  private readonly ended: AbortController
  private readonly board = new Board()
  private view: View
  private version: string | undefined
  private snapshot: Snapshot | undefined
  /** With the connection; until something comes. */
  private trouble: string | undefined
  /** In what was written; until the next key. */
  private mistake: string | undefined
  /** Of the stream that is read now. */
  private reading = new AbortController()

  constructor(api: AdminClient, flags: TopFlags, ended: AbortController) {
    this.api = api
    this.flags = flags
    this.ended = ended
    this.view = { topicOrder: "rate", clientOrder: "messages", filter: flags.topics, draft: undefined, isHalted: false }
  }

  async inLines(): Promise<void> {
    const { flags, ended, board } = this
    const output = new Output()
    const stop = () => ended.abort()
    output.closed.then(stop, stop) // which its end says again
    for await (const event of this.events()) {
      const { snapshot } = this
      if (!board.take(event) || board.seconds < Math.round(flags.interval)) continue
      this.snapshot = board.snapshot()
      await output.write(Buffer.from(this.printed(this.snapshot, snapshot === undefined)))
      if (flags.once) break
    }
    await output.end()
  }

  async onScreen(): Promise<void> {
    using screen = new Screen(
      (key) => this.onKey(key, screen),
      () => this.draw(screen),
      () => this.ended.abort(),
    )
    this.draw(screen)
    for await (const event of this.events(() => this.draw(screen))) {
      if (!this.board.take(event) || this.board.seconds < Math.round(this.flags.interval)) continue
      const snapshot = this.board.snapshot()
      if (this.view.isHalted) continue
      this.snapshot = snapshot
      this.draw(screen)
    }
  }

  private draw(screen: Screen): void {
    screen.draw(screenLines(this.frame(), screen.room, paint))
  }

  private onKey(key: string, screen: Screen): void {
    const before = this.view
    const view = pressed(before, key)
    if (view === undefined) {
      this.ended.abort()
      return
    }
    this.view = view
    this.mistake = undefined
    if (view.filter !== before.filter) this.watchOthers(before.filter)
    this.draw(screen)
  }

  /** Another filter has been written. */
  private watchOthers(before: string): void {
    const problem = filterProblem(this.view.filter)
    if (problem !== undefined) {
      this.mistake = problem
      this.view = { ...this.view, filter: before }
      return
    }
    this.board.clear()
    this.reading.abort()
  }

  /** What the broker sends, stream after stream, until it is ended. `onTrouble` is told when one has broken off. */
  private async *events(onTrouble?: () => void): AsyncGenerator<LiveEvent> {
    const { api, ended } = this
    const isOver = () => ended.signal.aborted
    let wasIn = false
    while (!isOver()) {
      this.reading = new AbortController()
      const signal = AbortSignal.any([ended.signal, this.reading.signal])
      try {
        this.version = (await api.get<MetricsSnapshot>("/api/v1/metrics")).version
        for await (const event of api.live(
          "/api/v1/live",
          { topics: this.view.filter, clients: BUSIEST_CLIENTS },
          signal,
        )) {
          wasIn = true
          this.trouble = undefined
          yield event
        }
        if (signal.aborted) continue // somebody wants to see other topics, or nothing any more
        this.trouble = `${api.place} has ended the stream`
      } catch (error) {
        if (signal.aborted) continue
        if (!wasIn || !(error instanceof CommandFailure) || isRefused(error)) throw error
        this.trouble = error.message
      }
      this.trouble = `trying again: ${this.trouble}`
      onTrouble?.()
      await pause(RETRY_MS, signal)
    }
  }

  private printed(snapshot: Snapshot, isFirst: boolean): string {
    const { json, rows } = this.flags
    if (json) return `${JSON.stringify(plainObject({ ...this.frame(), snapshot }, rows))}\n`
    return `${isFirst ? "" : "\n"}${plainLines(this.frame(), rows).join("\n")}\n`
  }

  private frame(): Frame {
    const { snapshot, version, view, mistake, trouble } = this
    return { snapshot, version, place: this.api.place, view, trouble: mistake ?? trouble }
  }
}

/** Whether to ask again would not help. */
function isRefused(error: CommandFailure): boolean {
  return error instanceof ApiRefusal && (error.status === 401 || error.status === 403)
}

function filterProblem(filter: string): string | undefined {
  return parseTopicFilter(filter, LONGEST_TOPIC) === undefined ? `${filter} is not a topic filter` : undefined
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    signal.addEventListener("abort", end, { once: true })
  })
}

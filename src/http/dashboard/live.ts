/**
 * What happens, as it happens: one stream for the whole page, with what the open views have asked for.
 *
 * It is open while the tab is seen. A hidden tab has none, and costs the broker nothing; one that comes back opens it anew. A stream that
 * breaks, or is silent for longer than it may be, is opened again after a while that grows.
 */
import { signal } from "@preact/signals"
import { EventSourceParserStream } from "eventsource-parser/stream"
import { useEffect, useRef } from "preact/hooks"
import { ApiError, open, type Query } from "./api.ts"
import type { Figures, LiveEvents } from "./types.ts"

/** Figures come once a second: after that long without any the stream is dead. */
const SILENCE_MS = 8000
const SHORTEST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 15_000
/** Of ten minutes. */
const MOST_SAMPLES = 600
const levels = ["error", "warn", "info", "debug"] as const

/** `waiting`: for the next try; `hidden`: nobody looks. */
export type LiveState = "connecting" | "open" | "waiting" | "hidden"

export const liveState = signal<LiveState>("connecting")
/** Why the stream is not open; undefined: it is, or nothing is known yet. */
export const liveProblem = signal<ApiError | undefined>(undefined)
/** The latest figures. */
export const figures = signal<Figures | undefined>(undefined)

/** What time it is at the broker, in milliseconds since 1970: a gateway's clock may be years behind the browser's. */
export const brokerTime = (): number => figures.peek()?.time ?? Date.now()

/** The figures of the last ten minutes in which this page was seen, the oldest first. Another array each second. */
export const history = signal<readonly Figures[]>([])

/** What a view asks for beside figures. */
export interface Wanted {
  /** Lines of the log of that level and above. */
  log?: (typeof levels)[number] | undefined
  /** A topic filter. */
  topics?: string | undefined
  /** How many of the busiest clients. */
  clients?: number | undefined
  /** A topic filter: what becomes of messages; with `traceClient` of those that it publishes or should get. */
  trace?: string | undefined
  traceClient?: string | undefined
}

/** By the name of the event. */
export type Handlers = { [Name in keyof LiveEvents]?: (event: LiveEvents[Name]) => void }

const listeners = new Set<{ wanted: Wanted; handlers: Handlers }>()
let current: { query: string; stop: AbortController } | undefined
let waitMs = SHORTEST_WAIT_MS
let waiting: ReturnType<typeof setTimeout> | undefined
let isStarted = false

/**
 * While the component is shown, the stream brings what it asks for. `handlers` may be new ones each time.
 *
 * @example
 * useLive({ topics: filter }, { topics: ({ topics }) => show(topics) })
 */
export function useLive(wanted: Wanted, handlers: Handlers): void {
  const latest = useRef(handlers)
  latest.current = handlers
  const { log, topics, clients, trace, traceClient } = wanted
  useEffect(() => {
    const names = ["figures", "log", "topics", "clients", "trace"] as const
    const through = Object.fromEntries(names.map((name) => [name, (event: never) => latest.current[name]?.(event)]))
    const listener = { wanted: { log, topics, clients, trace, traceClient }, handlers: through as Handlers }
    listeners.add(listener)
    later()
    return () => {
      listeners.delete(listener)
      later()
    }
  }, [log, topics, clients, trace, traceClient])
}

/** Begins, when the page does and after a login. */
export function startLive(): void {
  if (!isStarted) document.addEventListener("visibilitychange", adjust)
  isStarted = true
  waitMs = SHORTEST_WAIT_MS
  adjust()
}

/** Ends, when the page is shut. */
export function stopLive(): void {
  document.removeEventListener("visibilitychange", adjust)
  isStarted = false
  close()
}

/** Tries now what would be tried in a while. */
export function retryLive(): void {
  clearTimeout(waiting)
  waiting = undefined
  adjust()
}

/** A view that goes and one that comes are one change. */
let isDue = false
function later(): void {
  if (isDue) return
  isDue = true
  queueMicrotask(() => {
    isDue = false
    adjust()
  })
}

/** Makes the stream what it should be now. */
function adjust(): void {
  if (!isStarted) return
  if (document.hidden) {
    close()
    liveState.value = "hidden"
    return
  }
  const query = asked()
  const key = JSON.stringify(query)
  if (current?.query === key || (waiting !== undefined && current === undefined)) return
  const before = current
  const stop = new AbortController()
  current = { query: key, stop }
  if (before === undefined) liveState.value = "connecting"
  // The new one is there before the old one goes, so that the broker does not begin anew to measure rates.
  void listen(query, stop, () => before?.stop.abort())
}

function close(): void {
  clearTimeout(waiting)
  waiting = undefined
  current?.stop.abort()
  current = undefined
}

/** What all that are shown have asked for, together. */
function asked(): Query {
  const wanted = [...listeners].map((each) => each.wanted)
  const least = Math.max(...wanted.map(({ log }) => (log === undefined ? -1 : levels.indexOf(log))))
  const clients = Math.max(...wanted.map((each) => each.clients ?? 0))
  const traced = wanted.findLast(({ trace }) => trace !== undefined)
  return {
    log: levels[least],
    topics: wanted.findLast(({ topics }) => topics !== undefined)?.topics,
    clients: clients > 0 ? clients : undefined,
    trace: traced?.trace,
    traceClient: traced?.traceClient,
  }
}

async function listen(query: Query, stop: AbortController, opened: () => void): Promise<void> {
  const isCurrent = () => current?.stop === stop
  let silence: ReturnType<typeof setTimeout> | undefined
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(() => stop.abort(new Error("silent")), SILENCE_MS)
  }
  let problem: ApiError | undefined
  try {
    heard()
    const response = await open("GET", "live", query, undefined, stop.signal)
    opened()
    if (isCurrent()) liveState.value = "open"
    liveProblem.value = undefined
    const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
    const reader = events.getReader() // not every browser can iterate over a stream
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const { event, data } = read.value
      heard()
      waitMs = SHORTEST_WAIT_MS
      if (isCurrent() && event !== undefined) tell(event as keyof LiveEvents, JSON.parse(data))
    }
  } catch (error) {
    if (error instanceof ApiError) problem = error
    else if (!stop.signal.aborted && !(error instanceof TypeError)) throw error // a TypeError is a connection that broke
  } finally {
    opened()
    clearTimeout(silence)
    if (isCurrent()) tryAgain(problem)
  }
}

function tryAgain(problem: ApiError | undefined): void {
  current = undefined
  liveProblem.value = problem
  if (document.hidden || !isStarted) return
  liveState.value = "waiting"
  const saidMs = (problem?.retryAfterSeconds ?? 0) * 1000
  waiting = setTimeout(retryLive, Math.max(saidMs, waitMs * (0.75 + Math.random() / 2)))
  waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)
}

function tell<Name extends keyof LiveEvents>(name: Name, event: LiveEvents[Name]): void {
  if (name === "figures") {
    figures.value = event as Figures
    const isOfAnother = (event as Figures).uptimeSeconds < (history.value.at(-1)?.uptimeSeconds ?? 0) // it has been restarted
    history.value = [...(isOfAnother ? [] : history.value), event as Figures].slice(-MOST_SAMPLES)
  }
  for (const { handlers } of listeners) handlers[name]?.(event)
}

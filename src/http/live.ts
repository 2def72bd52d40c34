/**
 * What happens, as it happens, for the dashboard: Server-Sent Events, one or a few a second, as long as somebody listens. Who does not
 * listen costs nothing, and who does, no more however much happens:
 *
 * - `figures`: rates and gauges, computed once a second for all who listen;
 * - `log`, if asked for: the lines of the log since the last one, the first 200;
 * - `topics`, if asked for: what went over the topics that match a filter, a value a topic, of 500 topics;
 * - `clients`, if asked for: those that have sent and got the most messages;
 * - `trace`, if asked for: what has become of each message of a topic, of 200 messages.
 *
 * Every one says what it has left out. A listener that does not read in time misses events, and the broker keeps none for it.
 */
import { slicesOf } from "../broker/admin/page.ts"
import type { MetricsSnapshot } from "../broker/admin.ts"
import type { Core } from "../broker/core.ts"
import type { LineDetails } from "../broker/log/log.ts"
import type { Peer } from "../broker/peer.ts"
import { Sampler, TopicWatch } from "../broker/sampler.ts"
import { Trace, type TracedMessage } from "../broker/trace.ts"
import { type Figures, figuresOf } from "./figures.ts"
import { type ShownPayload, showPayload } from "./payload.ts"
import { commonHeaders, Problem } from "./problem.ts"

const INTERVAL_MS = 1000
const MOST_STREAMS = 32
const MOST_LINES = 200
/** How many events may wait for a listener that is slow; a large one counts as several. */
const MOST_EVENTS = 16
const EVENT_BYTES = 65_536
const NOTHING = { received: 0, sent: 0 }
const levels = ["debug", "info", "warn", "error"] as const
const TYPE = "text/event-stream"
/** A proxy of nginx would else hold events back until it has many. */
const headers = { ...commonHeaders, "Content-Type": TYPE, "X-Accel-Buffering": "no" }

/** What is asked for beside figures. */
export interface LiveRequest {
  /** Lines of the log of that level and above. */
  log?: (typeof levels)[number] | undefined
  /** A topic filter. */
  topics?: string | undefined
  /** How many of the busiest clients. */
  clients?: number | undefined
  /** A topic filter: what becomes of messages; and of these those that this client publishes, or should get. */
  trace?: string | undefined
  traceClient?: string | undefined
}

/** A line of the log, in words and in fields. */
export interface LogLine {
  time: number
  level: (typeof levels)[number]
  message: string
  details: LineDetails
}

export interface LogEvent {
  lines: LogLine[]
  /** Lines that there was no room for. */
  omitted: number
}

/** What has gone over a topic, and the last value. */
export interface TopicActivity extends ShownPayload {
  topic: string
  messages: number
  qos: number
  retain: boolean
}

export interface TopicsEvent {
  topics: TopicActivity[]
  /** Messages over topics that there was no room for. */
  omittedMessages: number
}

export interface ClientActivity {
  clientId: string
  username?: string | undefined
  /** PUBLISH packets from it and to it, since the last event. */
  received: number
  sent: number
}

/** What a stream is sent, by the name of the event. */
export interface LiveEvents {
  figures: Figures
  log: LogEvent
  topics: TopicsEvent
  clients: { clients: ClientActivity[] }
  /** `omitted`: messages that there was no room for. */
  trace: { messages: readonly TracedMessage[]; omitted: number }
}

export class Live {
  private readonly streams = new Set<Stream>()
  private readonly core: Core
  private stopTicking: (() => void) | undefined
  private before: MetricsSnapshot | undefined
  private lastTickAt = 0
  private isTicking = false
  private isClosed = false

  constructor(core: Core) {
    this.core = core
  }

  /** Begins a stream. Throws a `Problem` where there are too many, and when the listener has closed meanwhile. */
  open(request: LiveRequest): Response {
    if (this.isClosed) throw new Problem("unavailable", "the broker closes")
    if (this.streams.size >= MOST_STREAMS) {
      throw new Problem("too-many", `there are ${MOST_STREAMS} live streams already`, { "Retry-After": "10" })
    }
    const stream = new Stream(this.core, request, () => this.leave(stream))
    this.streams.add(stream)
    if (this.stopTicking === undefined) this.start()
    return new Response(stream.body, { headers })
  }

  close(): void {
    this.isClosed = true
    for (const stream of this.streams) stream.close()
  }

  private start(): void {
    this.before = undefined
    this.lastTickAt = performance.now()
    const tick = () => this.tickUnlessBusy().catch((error) => this.core.onBug(error))
    this.stopTicking = this.core.clock.every(INTERVAL_MS, tick)
    void tick() // what the first rates are measured from
  }

  private leave(stream: Stream): void {
    this.streams.delete(stream)
    if (this.streams.size > 0) return
    this.stopTicking?.()
    this.stopTicking = undefined
  }

  private async tickUnlessBusy(): Promise<void> {
    if (this.isTicking) return
    this.isTicking = true
    try {
      await this.tick()
    } finally {
      this.isTicking = false
    }
  }

  private async tick(): Promise<void> {
    const { before } = this
    const at = performance.now()
    const lagMs = before === undefined ? 0 : Math.max(0, at - this.lastTickAt - INTERVAL_MS)
    this.lastTickAt = at
    const now = await this.core.broker!.admin.metrics()
    this.before = now
    const figures = before && eventOf("figures", figuresOf(now, before, lagMs))
    for (const stream of [...this.streams]) {
      await stream.tell(figures).catch((error) => this.core.onBug(error)) // the others are told all the same
    }
  }
}

/** Whether it is a stream of ours. */
export function isLive(response: Response): boolean {
  return response.headers.get("content-type") === TYPE
}

/** Somebody who listens. */
class Stream {
  readonly body: ReadableStream<Uint8Array>
  private controller!: ReadableStreamDefaultController<Uint8Array>
  private readonly core: Core
  private readonly ends: (() => void)[]
  private isOver = false
  private lines: LogLine[] = []
  private omittedLines = 0
  private readonly topics: TopicWatch | undefined
  private readonly trace: Trace | undefined
  private readonly busiest: number
  /** Messages from and to each client when they were looked at last. */
  private readonly counted = new WeakMap<Peer, { received: number; sent: number }>()
  private isFirstCount = true

  constructor(core: Core, { log, topics, clients = 0, trace, traceClient }: LiveRequest, leave: () => void) {
    this.core = core
    this.busiest = clients
    this.ends = [leave]
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      this.controller = controller
    }
    const size = (event: Uint8Array | undefined) => 1 + event!.length / EVENT_BYTES
    this.body = new ReadableStream({ start, cancel: () => this.end() }, { highWaterMark: MOST_EVENTS, size })
    if (log !== undefined) this.watchLog(log)
    if (topics !== undefined) {
      this.topics = new TopicWatch(topics)
      this.ends.push(Sampler.watch(core, this.topics))
    }
    if (trace !== undefined) {
      const begun = Trace.begin(core, { topicFilter: trace, clientId: traceClient })
      this.trace = begun.trace
      this.ends.push(begun.end)
    }
    this.send(Buffer.from(`retry: ${INTERVAL_MS}\n\n`)) // and the headers leave
  }

  /** Sends what there is since the last time; undefined: figures come next time. */
  async tell(figures: Buffer | undefined): Promise<void> {
    if (figures !== undefined) this.send(figures)
    this.tellLog()
    this.tellTopics()
    this.tellTrace()
    if (this.busiest > 0) await this.tellClients()
  }

  close(): void {
    if (!this.isOver) this.controller.close()
    this.end()
  }

  private end(): void {
    this.isOver = true
    for (const end of this.ends.splice(0)) end()
  }

  /** What does not fit is not sent. */
  private send(event: Buffer): void {
    if (!this.isOver && (this.controller.desiredSize ?? 0) > 0) this.controller.enqueue(event)
  }

  private watchLog(least: (typeof levels)[number]): void {
    const end = this.core.logger.watch((level, message, details) => {
      if (levels.indexOf(level) < levels.indexOf(least)) return
      if (this.lines.length === MOST_LINES) this.omittedLines++
      else this.lines.push({ time: Math.round(this.core.now()), level, message, details })
    })
    this.ends.push(end)
  }

  private tellLog(): void {
    const { lines, omittedLines: omitted } = this
    if (lines.length === 0) return
    this.lines = []
    this.omittedLines = 0
    this.send(eventOf("log", { lines, omitted }))
  }

  private tellTopics(): void {
    if (this.topics === undefined) return
    const { samples, unseenMessages } = this.topics.take()
    if (samples.length === 0 && unseenMessages === 0) return
    const topics = samples.map(({ topic, messages, preview, payloadBytes, qos, retain }) => {
      return { topic, messages, qos, retain, ...showPayload(preview.subarray(0, payloadBytes), payloadBytes) }
    })
    this.send(eventOf("topics", { topics, omittedMessages: unseenMessages }))
  }

  private tellTrace(): void {
    const { messages = [], omitted = 0 } = this.trace?.take() ?? {}
    if (messages.length > 0) this.send(eventOf("trace", { messages, omitted }))
  }

  private async tellClients(): Promise<void> {
    const { counted, busiest } = this
    let active: ClientActivity[] = []
    const keepBusiest = () => {
      active = active.sort((a, b) => b.received + b.sent - (a.received + a.sent)).slice(0, busiest)
    }
    for await (const slice of slicesOf(this.core.clients.values())) {
      for (const peer of slice) {
        const { messagesReceived: received, messagesSent: sent } = peer.view.counters
        const before = counted.get(peer) ?? NOTHING
        if (received === before.received && sent === before.sent) continue
        counted.set(peer, { received, sent })
        const { clientId, username } = peer.view
        active.push({ clientId, username, received: received - before.received, sent: sent - before.sent })
        if (active.length > 10 * busiest + 100) keepBusiest()
      }
    }
    keepBusiest()
    if (!this.isFirstCount) this.send(eventOf("clients", { clients: active }))
    this.isFirstCount = false
  }
}

function eventOf<Name extends keyof LiveEvents>(name: Name, data: LiveEvents[Name]): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
}

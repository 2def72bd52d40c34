/** A frame: the broker's figures, then the busiest topics and clients, in lines that are as wide as there is room. */
import { bytes, count, counted, duration, figure, milliseconds } from "../../http/format.ts"
import type { Style } from "../terminal.ts"
import type { ClientRow, Snapshot, TopicRow } from "./board.ts"
import type { View } from "./view.ts"

export interface Frame {
  /** Undefined: nothing has come yet. */
  readonly snapshot: Snapshot | undefined
  /** Undefined: it is not known yet. */
  readonly version: string | undefined
  /** Where the broker is. */
  readonly place: string
  readonly view: View
  /** What has gone wrong. */
  readonly trouble: string | undefined
}

/** Room on a screen, in columns and lines. */
export interface Room {
  readonly width: number
  readonly height: number
}

export type Paint = (style: Style, text: string) => string

interface Column<Row> {
  readonly title: string
  /** Undefined: what is left. */
  readonly width: number | undefined
  readonly isLeft?: boolean
  readonly cell: (row: Row) => string
}

const topicColumns: readonly Column<TopicRow>[] = [
  { title: "MSG/S", width: 8, cell: ({ rate }) => figure(rate) },
  { title: "MESSAGES", width: 9, cell: ({ messages }) => figure(messages) },
  { title: "LAST", width: 9, cell: ({ payloadBytes }) => bytes(payloadBytes) },
  { title: "QOS", width: 3, cell: ({ qos, retain }) => `${qos}${retain ? "r" : " "}` },
  { title: "TOPIC", width: undefined, cell: ({ topic }) => topic },
]
const clientColumns: readonly Column<ClientRow>[] = [
  { title: "IN/S", width: 8, cell: ({ received }) => figure(received) },
  { title: "OUT/S", width: 9, cell: ({ sent }) => figure(sent) },
  { title: "USER", width: 16, isLeft: true, cell: ({ username }) => username ?? "-" },
  { title: "CLIENT", width: undefined, cell: ({ clientId }) => clientId },
]

const topicOrder: Record<View["topicOrder"], (one: TopicRow, other: TopicRow) => number> = {
  rate: (one, other) => other.rate - one.rate || other.messages - one.messages,
  size: (one, other) => other.payloadBytes - one.payloadBytes,
  messages: (one, other) => other.messages - one.messages,
  topic: () => 0,
}
const clientOrder: Record<View["clientOrder"], (one: ClientRow, other: ClientRow) => number> = {
  messages: (one, other) => other.received + other.sent - one.received - one.sent,
  in: (one, other) => other.received - one.received,
  out: (one, other) => other.sent - one.sent,
  client: () => 0,
}

/** Title and head of both tables, the lines between, and the line at the bottom. */
const LINES_BESIDE_ROWS = 7
const SHARE_OF_TOPICS = 0.6
const KEYS = "q quit  s sort topics  c sort clients  / topic filter  space halt"

/** Lines for a screen: no more than there is room for, none wider. */
export function screenLines(frame: Frame, { width, height }: Room, paint: Paint): string[] {
  const head = headLines(frame, paint)
  const room = Math.max(0, height - head.length - LINES_BESIDE_ROWS)
  const { topics, clients } = sorted(frame)
  const fairly = Math.ceil(room * SHARE_OF_TOPICS)
  const forTopics = Math.min(topics.length, Math.max(fairly, room - clients.length))
  const tables = tablesOf(
    frame,
    topics.slice(0, forTopics),
    clients.slice(0, Math.max(0, room - forTopics)),
    width,
    paint,
  )
  const bottom = bottomLine(frame, paint)
  const lines = [...head, ...tables].slice(0, Math.max(0, height - 1))
  while (lines.length < height - 1) lines.push("")
  return [...lines, bottom].map((line) => fitted(line, width))
}

/** Lines for a text: so many topics and clients, as wide as they are. */
export function plainLines(frame: Frame, rows: number): string[] {
  const { topics, clients } = sorted(frame)
  const paint: Paint = (_, text) => text
  const tables = tablesOf(frame, topics.slice(0, rows), clients.slice(0, rows), undefined, paint)
  return [...headLines(frame, paint), ...tables]
}

/** What is in a frame, as JSON shows it: so many topics and clients. */
export function plainObject(frame: Frame & { readonly snapshot: Snapshot }, rows: number): object {
  const { topics, clients } = sorted(frame)
  const { figures, omittedRate } = frame.snapshot
  return { figures, topics: topics.slice(0, rows), omittedRate, clients: clients.slice(0, rows) }
}

function sorted({ snapshot, view }: Frame): { topics: TopicRow[]; clients: ClientRow[] } {
  const byName = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)
  const ofTopics = topicOrder[view.topicOrder]
  const ofClients = clientOrder[view.clientOrder]
  return {
    topics: [...(snapshot?.topics ?? [])].sort((one, other) => ofTopics(one, other) || byName(one.topic, other.topic)),
    clients: [...(snapshot?.clients ?? [])].sort((a, b) => ofClients(a, b) || byName(a.clientId, b.clientId)),
  }
}

function headLines({ snapshot, version, place }: Frame, paint: Paint): string[] {
  const name = paint("bold", `manju${version === undefined ? "" : ` ${version}`}`)
  if (snapshot === undefined) return [`${name} at ${place}`, "", "waiting for the first figures"]
  const { figures } = snapshot
  const { rates, memory } = figures
  const say = (label: string, ...parts: string[]) => headLine(label, parts, paint)
  const bad = (value: number, text: string) => (value > 0 ? paint("red", text) : text)
  const refused = rates.connectsRefused + rates.authFailures
  return [
    `${name} at ${place}, up ${duration(figures.uptimeSeconds)}`,
    say(
      "clients",
      count(figures.clients),
      counted(figures.connections, "connection"),
      counted(figures.sessions, "session"),
      counted(figures.subscriptions, "subscription"),
    ),
    say("arrivals", `${figure(rates.connects)}/s`, bad(refused, `refused ${figure(refused)}/s`)),
    say("in", `${figure(rates.messagesReceived)} messages/s`, `${bytes(rates.bytesReceived)}/s`),
    say(
      "out",
      `${figure(rates.messagesSent)} messages/s`,
      `${bytes(rates.bytesSent)}/s`,
      bad(rates.dropped, `dropped ${figure(rates.dropped)}/s`),
    ),
    say(
      "kept",
      `${count(figures.retainedMessages)} retained`,
      `${count(figures.queuedMessages)} queued (${bytes(figures.queuedBytes)})`,
      `${count(figures.inflightMessages)} in flight`,
    ),
    say(
      "machine",
      `memory ${bytes(memory.residentBytes)}`,
      `event loop late by ${milliseconds(figures.eventLoopLagMs)}`,
    ),
    ...diskLines(figures, paint),
  ]
}

/** None where nothing is kept. */
function diskLines({ store }: Snapshot["figures"], paint: Paint): string[] {
  if (store === undefined) return []
  const { commits, commitP99Ms, unstoredBytes, isReady } = store
  const slow = commitP99Ms === undefined ? "" : `, 99 % within ${milliseconds(commitP99Ms)}`
  const state = isReady ? `commits ${figure(commits)}/s${slow}` : paint("red", "fails: nothing is stored")
  return [headLine("disk", [state, `unwritten ${bytes(unstoredBytes)}`], paint)]
}

function headLine(label: string, parts: readonly string[], paint: Paint): string {
  return `${paint("gray", label.padEnd(10))}${parts.join("   ")}`
}

function tablesOf(
  { snapshot, view }: Frame,
  topics: readonly TopicRow[],
  clients: readonly ClientRow[],
  width: number | undefined,
  paint: Paint,
): string[] {
  if (snapshot === undefined) return []
  const { omittedRate } = snapshot
  const more = omittedRate > 0 ? `, and ${figure(omittedRate)} messages/s over others` : ""
  const topicTitle = `topics ${cell(view.filter)} by ${view.topicOrder}${more}`
  return [
    ...["", paint("bold", topicTitle), ...tableLines(topicColumns, topics, width, paint)],
    ...["", paint("bold", `clients by ${view.clientOrder}`), ...tableLines(clientColumns, clients, width, paint)],
  ]
}

function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
  paint: Paint,
): string[] {
  const lineOf = (cells: readonly string[]) => {
    const line = columns.map(({ width: own, isLeft = false }, at) => inColumn(cells[at]!, own, isLeft)).join("  ")
    return width === undefined ? line : fitted(line, width)
  }
  return [
    paint("gray", lineOf(columns.map(({ title }) => title))),
    ...rows.map((row) => lineOf(columns.map(({ cell: textOf }) => cell(textOf(row))))),
  ]
}

/** Others choose names: none moves the cursor, breaks the line or turns it around. */
function cell(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "�")
}

function inColumn(text: string, width: number | undefined, isLeft: boolean): string {
  if (width === undefined) return text
  const short = fitted(text, width)
  const blank = " ".repeat(Math.max(0, width - Bun.stringWidth(short)))
  return isLeft ? short + blank : blank + short
}

/** No wider than that; what is left out is marked. */
function fitted(text: string, width: number): string {
  return Bun.stringWidth(text) <= width ? text : `${Bun.sliceAnsi(text, 0, Math.max(0, width - 1))}…`
}

function bottomLine({ view, trouble }: Frame, paint: Paint): string {
  if (view.draft !== undefined) return `topic filter, such as sensors/#: ${cell(view.draft)}▏`
  if (trouble !== undefined) return paint("yellow", trouble)
  return view.isHalted ? paint("yellow", "halted: space goes on") : paint("gray", KEYS)
}

/** What a broker has explained, in lines for people. */
import type { Explanation, ExplanationSide, Finding, FindingEffect } from "../../broker/explanation.ts"
import type { Fate, TracedMessage } from "../../broker/trace.ts"
import { printable } from "../printable.ts"
import type { Style } from "../terminal.ts"

/** Gives text in a style, where there are any. */
export type Paint = (style: Style, text: string) => string

const marks: Readonly<Record<FindingEffect, readonly [mark: string, style: Style]>> = {
  stops: ["✗", "red"],
  "may stop": ["!", "yellow"],
  passes: ["✓", "green"],
  note: ["·", "gray"],
}
const outcomes: Readonly<Record<ExplanationSide["outcome"], Style>> = { yes: "green", perhaps: "yellow", no: "red" }
const fates: Readonly<Record<Fate["fate"], readonly [mark: string, style: Style]>> = {
  sent: ["✓ sent to", "green"],
  queued: ["… waits for", "yellow"],
  dropped: ["✗ dropped for", "red"],
  skipped: ["· not for", "gray"],
}

/** The lines of an explanation. */
export function explanationLines({ publish, receive }: Explanation, paint: Paint): string[] {
  return [...sideLines(publish, paint), "", ...sideLines(receive, paint)]
}

function sideLines({ outcome, words, findings }: ExplanationSide, paint: Paint): string[] {
  return [paint(outcomes[outcome], printable(words)), ...findings.map((finding) => findingLine(finding, paint))]
}

function findingLine(finding: Finding, paint: Paint): string {
  const [mark, style] = marks[finding.effect]
  const when = whenOf(finding)
  return `  ${paint(style, mark)} ${printable(finding.words)}${when === "" ? "" : paint("dim", ` (${when})`)}`
}

/** Of what has happened the first and the last time, of what is so since when. */
function whenOf({ count, firstAt, lastAt }: Finding): string {
  if (count === undefined) {
    const since = firstAt ?? lastAt
    return since === undefined ? "" : `since ${timeOf(since)}`
  }
  if (firstAt === undefined || lastAt === undefined) return ""
  return count === 1 ? timeOf(lastAt) : `first ${timeOf(firstAt)}, last ${timeOf(lastAt)}`
}

/** The lines for what has become of a message. */
export function tracedLines(message: TracedMessage, paint: Paint): string[] {
  const { time, topic, from, qos, payloadBytes, retain, refused, fates, moreReceivers, isLate } = message
  const who = isLate ? "what is late" : (from ?? "the broker")
  const size = payloadBytes === undefined ? "" : `, ${payloadBytes} bytes, QoS ${qos}${retain ? ", retained" : ""}`
  const head = `${paint("dim", timeOf(time))} ${paint("bold", printable(who))} ${printable(topic)}${size}`
  const lines = fates.map((fate) => fateLine(fate, paint))
  if (refused !== undefined) lines.push(`  ${paint("red", "✗ refused")}: ${refused}`)
  else if (fates.length === 0) lines.push(`  ${paint("yellow", "nobody is subscribed to it")}`)
  if (moreReceivers > 0) lines.push(`  ${paint("dim", `and ${moreReceivers} more`)}`)
  return [head, ...lines]
}

function fateLine({ clientId, fate, reason, share }: Fate, paint: Paint): string {
  const [mark, style] = fates[fate]
  const whom = clientId === undefined ? (share ?? "") : share === undefined ? clientId : `${clientId}, of ${share}`
  return `  ${paint(style, mark)} ${printable(whom)}${reason === undefined ? "" : `: ${reason}`}`
}

/** `2026-03-01 12:00:00`, where the reader is. */
function timeOf(time: number): string {
  return new Date(time).toLocaleString("sv")
}

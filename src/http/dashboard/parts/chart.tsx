import { useSignal, useSignalEffect } from "@preact/signals"
import { useEffect, useId, useRef } from "preact/hooks"
import uPlot from "uplot"
import "uplot/dist/uPlot.min.css"
import { timeOfDay } from "../../format.ts"
import { samples } from "../samples.ts"
import { isDark } from "../theme.ts"
import type { Figures } from "../types.ts"

/** How much time is shown: as much as there is, and up to so much. */
const WINDOWS_SECONDS = [60, 120, 300, 600]
const HEIGHT = 168
/** Charts of which one is pointed at show the same moment. */
const together = uPlot.sync("figures")

/** A line of a chart. */
export interface Line {
  title: string
  /** Undefined: there is nothing at that time. */
  of: (figures: Figures) => number | undefined
}

/**
 * Lines over the last ten minutes, up to four. Beneath them stands in words what they show: the last values and their range, or the values of
 * the moment that is pointed at.
 *
 * @example
 * <Chart title="Memory" lines={[{ title: "Resident", of: ({ memory }) => memory.residentBytes }]} format={bytes} />
 */
export function Chart(props: {
  title: string
  lines: readonly Line[]
  /** A value for people. */
  format: (value: number) => string
  /** What the scale goes up to at least. Default: 1. */
  atLeast?: number
  /** The scale has marks at round numbers of two, as of bytes. */
  isBinary?: boolean
}) {
  const { title, lines, format, atLeast = 1, isBinary = false } = props
  const id = useId()
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const pointed = useSignal<number | null>(null)

  const dark = isDark.value // another chart for other colours
  useEffect(() => {
    const host = place.current!
    const options = optionsOf(host, lines, { format, atLeast, isBinary, point: (index) => (pointed.value = index) })
    const made = new uPlot(options, dataOf(lines), host)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height: HEIGHT }))
    observer.observe(host)
    return () => {
      observer.disconnect()
      plot.current = undefined
      made.destroy()
    }
  }, [dark])
  useSignalEffect(() => plot.current?.setData(dataOf(lines)))

  const all = samples.value
  const at = pointed.value === null ? undefined : all[pointed.value]
  const shown = at?.figures ?? all.at(-1)?.figures
  return (
    <section class="panel chart" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <small class="muted" aria-hidden="true">
          {at === undefined ? "" : timeOfDay(at.time)}
        </small>
      </header>
      <div ref={place} class="plot" aria-hidden="true" />
      <ul class="legend">
        {lines.map(({ title, of }, index) => (
          <li key={title} class={`line-${index + 1}`}>
            <span class="name">{title}</span> <strong>{said(shown && of(shown), format)}</strong>
            <Range of={of} format={format} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function Range({ of, format }: { of: Line["of"]; format: (value: number) => string }) {
  const found = range(of)
  if (found === undefined) return null
  const [least, most] = found.map(format)
  return (
    <small class="muted">
      <span class="unseen">, in the last ten minutes</span> {least === most ? least : `${least} to ${most}`}
    </small>
  )
}

function said(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "–" : format(value)
}

function range(of: Line["of"]): [least: number, most: number] | undefined {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (const { figures } of samples.value) {
    const value = figures && of(figures)
    if (value === undefined) continue
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  return least > most ? undefined : [least, most]
}

function dataOf(lines: readonly Line[]): uPlot.AlignedData {
  const all = samples.value
  const times = all.map(({ time }) => time / 1000)
  return [times, ...lines.map(({ of }) => all.map(({ figures }) => (figures && of(figures)) ?? null))]
}

function optionsOf(
  host: HTMLElement,
  lines: readonly Line[],
  more: {
    format: (value: number) => string
    atLeast: number
    isBinary: boolean
    point: (index: number | null) => void
  },
): uPlot.Options {
  const { format, atLeast, isBinary, point } = more
  const muted = colour(host, "--muted")
  const axis = { stroke: muted, font: "11px system-ui, sans-serif", ticks: { show: false } }
  const grid = { stroke: colour(host, "--line"), width: 1 }
  return {
    width: host.clientWidth,
    height: HEIGHT,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: together.key }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
    scales: {
      x: { range: (_, first, last) => [(last ?? 0) - windowFor((last ?? 0) - (first ?? 0)), last ?? 0] },
      y: { range: (_, __, most) => [0, Math.max(atLeast, (most ?? 0) * 1.08)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 80,
        size: 24,
        values: (_, times) => times.map((time) => timeOfDay(time * 1000)),
      },
      {
        ...axis,
        ...{ grid, space: 36, size: 60 },
        ...(isBinary && { incrs: powersOfTwo }),
        values: (_, values) => values.map(format),
      },
    ],
    series: [
      {},
      ...lines.map(({ title }, index) => ({
        label: title,
        stroke: colour(host, `--chart-${index + 1}`),
        width: 1.75,
        points: { show: false },
        ...(index === 0 && { fill: colour(host, "--tint") }),
        // Lines can be told apart without their colours.
        dash: [[], [6, 4], [2, 3], [8, 3, 2, 3]][index] ?? [],
      })),
    ],
    hooks: { setCursor: [({ cursor }) => point(cursor.idx ?? null)] },
  }
}

/** What a custom property comes to: a canvas takes no `light-dark()`. */
function colour(host: HTMLElement, property: string): string {
  const before = host.style.color
  host.style.color = `var(${property})`
  const { color } = getComputedStyle(host)
  host.style.color = before
  return color
}

const powersOfTwo = Array.from({ length: 50 }, (_, exponent) => 2 ** exponent)

function windowFor(seconds: number): number {
  return WINDOWS_SECONDS.find((each) => each >= seconds) ?? WINDOWS_SECONDS.at(-1)!
}

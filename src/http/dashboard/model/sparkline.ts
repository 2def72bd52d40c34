/** A small line of numbers over time: where its points are, and what there is to say of it for those who do not see it. */

/** A number, and when it was, in milliseconds since 1970. */
export interface Point {
  readonly time: number
  readonly value: number
}

export interface Size {
  readonly width: number
  readonly height: number
}

export interface Sparkline {
  /** The `points` of an SVG polyline. */
  readonly points: string
  /** Where the last one is. */
  readonly end: readonly [x: number, y: number]
}

/** So that neither the line nor the dot at its end is cut off. */
const MARGIN = 4

/** The line from left to right; of one point a dot at the right, of one value a line through the middle. */
export function sparkline(points: readonly Point[], { width, height }: Size): Sparkline | undefined {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return undefined
  const { minimum, maximum } = rangeOf(points)
  const seconds = last.time - first.time
  const scale = (share: number, length: number) => Math.round((MARGIN + share * (length - 2 * MARGIN)) * 10) / 10
  const place = ({ time, value }: Point) => {
    const right = seconds === 0 ? 1 : (time - first.time) / seconds
    const up = maximum === minimum ? 0.5 : (value - minimum) / (maximum - minimum)
    return [scale(right, width), scale(1 - up, height)] as const
  }
  return { points: points.map((point) => place(point).join(",")).join(" "), end: place(last) }
}

/** `12 values in 3 min: last 21.5, lowest 20, highest 23.25, mean 21.4`. */
export function describeNumbers(points: readonly Point[]): string {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return "no numbers yet"
  if (points.length === 1) return `one value: ${numberText(last.value)}`
  const { minimum, maximum } = rangeOf(points)
  const mean = points.reduce((sum, { value }) => sum + value, 0) / points.length
  const figures = `lowest ${numberText(minimum)}, highest ${numberText(maximum)}, mean ${numberText(mean)}`
  return `${points.length} values in ${spanText(last.time - first.time)}: last ${numberText(last.value)}, ${figures}`
}

/** With six digits that count. */
export function numberText(value: number): string {
  return String(Number(value.toPrecision(6)))
}

/** `45 s`, `3 min`, `2 h`. */
export function spanText(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

function rangeOf(points: readonly Point[]): { minimum: number; maximum: number } {
  let [minimum, maximum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { value } of points) {
    if (value < minimum) minimum = value
    if (value > maximum) maximum = value
  }
  return { minimum, maximum }
}

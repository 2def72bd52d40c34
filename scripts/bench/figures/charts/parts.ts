/** What charts have in common: how headings, axes and names look. */
import { width } from "../drawing.ts"
import type { Role } from "../outcomes.ts"
import { light } from "../palette.ts"

export const fontSize = 12
/** Of a heading, with the space below it. */
export const headHeight = 26

/** What a part of the drawing shows, and at the other end of the line what its values are. */
export function heading(title: string, unit: string, top: number) {
  const common = { top: top + 5, padding: 0 }
  return [
    { ...common, text: title, left: 4, textStyle: { fontSize: 13, fontWeight: 600, color: light.ink } },
    {
      ...common,
      text: unit,
      left: width - 4,
      textAlign: "right",
      textStyle: { fontSize, color: light.muted, fontWeight: 400 },
    },
  ]
}

const labels = { color: light.muted, fontSize }

/** An axis of which the grid is seen, and no line of its own. */
export const scale = (formatter?: (value: number) => string) => ({
  axisLabel: { ...labels, ...(formatter && { formatter }) },
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: light.grid } },
})

/** The axis below, on which the chart stands. */
export const base = (formatter: (value: number) => string) => ({
  axisLabel: { ...labels, formatter },
  axisLine: { lineStyle: { color: light.grid } },
  axisTick: { show: false },
  splitLine: { show: false },
})

/** A line of text for each row, the first on top; manju's stands out. */
export function rowsOfText(lines: readonly { text: string; role: Role }[], position: "left" | "right") {
  const colour = (role: Role) => (role === "own" || position === "right" ? light.ink : light.muted)
  return {
    type: "category",
    position,
    inverse: true,
    data: lines.map(({ text, role }) => ({
      value: text,
      textStyle: { color: colour(role), fontWeight: weight(role) },
    })),
    axisLabel: { fontSize, interval: 0 },
    axisLine: { show: false },
    axisTick: { show: false },
  }
}

export const weight = (role: Role) => (role === "own" ? 600 : 400)

/** The name of a line behind its last point; names keep out of each other's way. */
export const nameAtEnd = (formatter: string, color: string = light.ink, fontWeight: number = 400) => ({
  endLabel: { show: true, formatter, fontSize, distance: 8, color, fontWeight },
  labelLayout: { moveOverlap: "shiftY" },
})

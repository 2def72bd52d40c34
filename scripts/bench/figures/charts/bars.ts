/**
 * Bars that lie below each other in groups, each with its name in front and its value behind. They begin at 0, on an axis that all groups
 * have in common.
 */
import { type Drawing, width } from "../drawing.ts"
import type { Role } from "../outcomes.ts"
import { light } from "../palette.ts"
import { fontSize, headHeight, heading, rowsOfText, weight } from "./parts.ts"

export type Bar = { name: string; role: Role; value: number; label: string }

export type Group = { title: string; unit: string; bars: Bar[] }

const barHeight = 17
const gapHeight = 8
const namesWidth = 116
const labelsWidth = 64

/** A yardstick is an outline. */
const styles = {
  own: { color: light.own },
  other: { color: light.others },
  yardstick: { color: light.page, borderColor: light.ink, borderWidth: 1, borderType: [3, 2] },
}

export function barsOf(groups: readonly Group[]): Pick<Drawing, "height" | "option"> {
  const tops: number[] = []
  let top = 0
  for (const { bars } of groups) {
    tops.push(top)
    top += headHeight + bars.length * barHeight + gapHeight
  }
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)))
  return {
    height: top,
    option: {
      title: groups.flatMap(({ title, unit }, index) => heading(title, unit, tops[index]!)),
      grid: groups.map(({ bars }, index) => ({
        left: namesWidth,
        top: tops[index]! + headHeight,
        width: width - namesWidth - labelsWidth,
        height: bars.length * barHeight,
      })),
      xAxis: groups.map((_, gridIndex) => ({ type: "value", gridIndex, min: 0, max: most, show: false })),
      yAxis: groups.map(({ bars }, gridIndex) => ({
        gridIndex,
        ...rowsOfText(
          bars.map(({ name, role }) => ({ text: name, role })),
          "left",
        ),
      })),
      series: groups.map(({ bars }, index) => ({
        type: "bar",
        xAxisIndex: index,
        yAxisIndex: index,
        barWidth: barHeight - 5,
        data: bars.map(({ role, value, label }) => ({
          value,
          itemStyle: styles[role],
          label: {
            show: true,
            position: "right",
            formatter: label,
            fontSize,
            color: light.ink,
            fontWeight: weight(role),
            textBorderWidth: 0,
          },
        })),
      })),
    },
  }
}

/**
 * From an option of ECharts to the text of an SVG file, without a browser, and to the byte the same each time.
 *
 * A chart is drawn in the colours of a light page, and brings a background of its own; on a dark one a style in the file puts those of a dark
 * page in their place. What ECharts adds for a page of its own (classes, hover styles, attributes) is left out, and so are
 * the areas to which it would cut lines, which are numbered through: no line leaves its own. It does not measure text
 * here but estimates it, so that fonts of the machine don't matter.
 */
import { BarChart, LineChart } from "echarts/charts"
import { GridComponent, TitleComponent } from "echarts/components"
import { type EChartsCoreOption, init, use } from "echarts/core"
import { LabelLayout } from "echarts/features"
import { SVGRenderer } from "echarts/renderers"
import { type Colour, dark, light } from "./palette.ts"

use([BarChart, LineChart, GridComponent, TitleComponent, LabelLayout, SVGRenderer])

/** In units of the drawing. Narrow, so that its text can be read on a phone, where it is made to fit. */
export const width = 480
/** Of a unit, where there is room: text of 12 is then of 15 pixels. */
const scale = 1.25

export type Drawing = {
  /** What is to be seen, in a few words: for those who hear it, the first thing. */
  title: string
  /** The figures, for those who don't see the chart. */
  description: string
  height: number
  option: EChartsCoreOption
}

/** One file of SVG. */
export function svgOf({ title, description, height, option }: Drawing): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height })
  chart.setOption({ animation: false, textStyle: { fontFamily: "system-ui, sans-serif", fontSize: 12 }, ...option })
  const drawn = chart.renderToSVGString({ useViewBox: true })
  chart.dispose()
  const shapes = drawn
    .slice(drawn.indexOf(">") + 1, drawn.lastIndexOf("</svg>"))
    .replaceAll(/<style[\s\S]*?<\/style>|<defs[\s\S]*?<\/defs>|<\/?g\b[^>]*>\n/g, "")
    .replaceAll('"#fff"', `"${light.page}"`)
    .replaceAll(/ (?:ecmeta_\w+|class)="[^"]*"/g, "")
    .replaceAll(/<path [^>]*fill-opacity="0" stroke="[^"]*" stroke-width="0"><\/path>\n/g, "")
    .trim()
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width * scale}" height="${height * scale}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<desc>${escaped(description)}</desc>
<style>${darkStyle}</style>
<rect width="${width}" height="${height}" fill="${light.page}"></rect>
${shapes}
</svg>
`
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

const darkRules = (Object.keys(light) as Colour[]).flatMap((name) =>
  ["fill", "stroke"].map((attribute) => `[${attribute}="${light[name]}"]{${attribute}:${dark[name]}}`),
)
const darkStyle = `@media (prefers-color-scheme:dark){${darkRules.join("")}}`

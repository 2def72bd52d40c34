/**
 * The colours of charts, each for a light and a dark page (GitHub's own backgrounds).
 *
 * Brokers are told apart by their names beside what is drawn; colour says only which of them is manju. The kinds of lines that cross
 * are named at their ends, too, and have colours that stay apart (CIEDE2000 above 20 for each two) for full colour vision and without the
 * red, the green or the blue cones. Whatever carries meaning has a contrast of 3:1 and more with the page, text 4.5:1 (WCAG 1.4.11, 1.4.3).
 */
import type { Role } from "./outcomes.ts"

export const light = {
  page: "#ffffff",
  ink: "#1f2328",
  muted: "#59636e",
  grid: "#d1d9e0",
  /** manju. */
  own: "#0969da",
  /** Other brokers. */
  others: "#818b98",
  olive: "#554700",
  rose: "#ad606a",
  lime: "#819800",
} as const

export type Colour = keyof typeof light

export const dark: Record<Colour, string> = {
  page: "#0d1117",
  ink: "#f0f6fc",
  muted: "#9198a1",
  grid: "#3d444d",
  own: "#4493f8",
  others: "#6e7681",
  olive: "#687c00",
  rose: "#c45b80",
  lime: "#c3c149",
}

/** A line, or what is in front of it, by whose it is. */
export const byRole: Record<Role, string> = { own: light.own, other: light.others, yardstick: light.ink }

/** For lines of which none is manju's own. */
export const lines = [light.own, light.olive, light.rose, light.lime, light.ink] as const

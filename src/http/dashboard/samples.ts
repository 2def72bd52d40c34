/** The figures of the last ten minutes, as the charts draw them. */
import { computed } from "@preact/signals"
import { history } from "./live.ts"
import type { Figures } from "./types.ts"

/** Between two figures that are further apart there was nobody who looked: the line has a gap there. */
const GAP_MS = 5000

/** Undefined stands for a gap. */
export const samples = computed(() => withGaps(history.value))

function withGaps(all: readonly Figures[]): { time: number; figures: Figures | undefined }[] {
  return all.flatMap((figures, index) => {
    const before = all[index - 1]
    const here = { time: figures.time, figures }
    if (before === undefined || figures.time - before.time < GAP_MS) return [here]
    return [{ time: before.time + 1, figures: undefined }, here]
  })
}

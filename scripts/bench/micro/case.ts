/** What is measured: one kind of work, on inputs such as a broker gets. */
import { do_not_optimize } from "mitata"

export interface Case {
  /** For `--only` and the baseline: the room first, `codec-...`, `router-...`, `outbox-...`, `path-...`. */
  readonly name: string
  /** What one operation is, in words. */
  readonly title: string
  /** How many of them a run does: enough to take microseconds, so that reading the clock does not count. */
  readonly operations: number
  /** What a run gives if the work has been done, and done right: a sum over everything that it has found or written. */
  readonly expected: number
  /**
   * Does the work on the real classes; gives a sum that depends on each result, so that nothing can be left out. The next run finds
   * everything as this one did.
   */
  run(): number
}

/** Runs the case; throws if it has not done what it is measured for. */
export function runChecked({ name, expected, run }: Case): void {
  const result = run()
  do_not_optimize(result)
  if (result !== expected) throw new Error(`${name} gives ${result} where ${expected} is right`)
}

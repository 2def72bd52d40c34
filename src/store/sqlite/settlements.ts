/**
 * What is done with, within one commit: deliveries that are settled, and messages that may have lost their last reader.
 *
 * A client that drains its queue settles thousands in order. They are gathered as runs of sequences and deleted a run at a
 * time; the messages they leave behind are looked at once, at the end, whoever else let go of them meanwhile.
 */
import type { Statements } from "./statements.ts"

type Run = { first: number; last: number }

export class Settlements {
  private readonly settled = new Map<string, Run[]>()
  private readonly abandoned = new Set<number>()
  private readonly statements: Statements

  constructor(statements: Statements) {
    this.statements = statements
  }

  /** Begins a commit: what a failed one had gathered is forgotten. */
  begin(): void {
    this.settled.clear()
    this.abandoned.clear()
  }

  /** A delivery is done with. */
  settle(owner: string, sequence: number): void {
    let runs = this.settled.get(owner)
    if (runs === undefined) this.settled.set(owner, (runs = []))
    const run = runs.at(-1)
    if (run?.last === sequence - 1) run.last = sequence
    else runs.push({ first: sequence, last: sequence })
  }

  /** A message has lost a reader. */
  abandon(messageId: number | null | undefined): void {
    if (messageId != null) this.abandoned.add(messageId)
  }

  /** Deletes what is settled of an owner: before its sequences may be used again. */
  flush(owner: string): void {
    const runs = this.settled.get(owner)
    if (runs === undefined) return
    this.settled.delete(owner)
    for (const { first, last } of runs) {
      for (const [id] of this.statements.settle.rows({ owner, first, last })) this.abandon(id)
    }
  }

  /** Ends a commit: everything settled goes, and then every message that nothing refers to any more. */
  end(): void {
    for (const owner of [...this.settled.keys()]) this.flush(owner)
    for (const run of runsOf(this.abandoned)) this.statements.removeOrphans.run(run)
  }
}

/** Numbers as runs of consecutive ones. */
function runsOf(numbers: Iterable<number>): Run[] {
  const runs: Run[] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run?.last === number - 1) run.last = number
    else runs.push({ first: number, last: number })
  }
  return runs
}

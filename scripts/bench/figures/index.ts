/**
 * `bun run bench figures`: draws charts and writes tables of what has been measured.
 *
 * In `results/` there is a file of JSON for each thing that README tells of; `bun run bench campaign` measures them all. Of these, and of
 * nothing else, are made the charts beside this file (*.svg), RESULTS.md, and what README has between `<!-- figures: NAME -->` and
 * `<!-- /figures -->`. The same files give the same texts, to the byte, and a test holds the repository to it.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { Command } from "commander"
import { document, drawings, inserted, sections } from "./document.ts"
import { type Results, readResults, repository } from "./results.ts"

export function command(): Command {
  return new Command("figures")
    .description("Draws README's charts and writes its tables, of the results in scripts/bench/figures/results.")
    .action(() => {
      const written = writeFigures()
      console.log(
        written.length > 0 ? written.map((path) => relative(repository, path)).join("\n") : "nothing has changed",
      )
    })
}

/** The text of each file that is made of results, by its path. */
export function filesOf(results: Results): Map<string, string> {
  const readme = join(repository, "README.md")
  const own = Object.entries({ ...drawings(results), "RESULTS.md": document(results) })
  return new Map([
    ...own.map(([name, text]) => [join(import.meta.dir, name), text] as const),
    [readme, inserted(readFileSync(readme, "utf8"), sections(results))],
  ])
}

/** Writes what has changed; returns the paths. */
export function writeFigures(): string[] {
  const changed = Array.from(filesOf(readResults())).filter(([path, text]) => textOf(path) !== text)
  for (const [path, text] of changed) writeFileSync(path, text)
  return changed.map(([path]) => path)
}

/** Undefined where there is no such file. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

/**
 * The lines of a `mosquitto.conf` that say something, those of the files that it includes among them, as Mosquitto reads them: the first
 * word is what is set, the rest its value. What follows `listener` is about that listener until the next, and an included file begins anew.
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { readBytes, trim } from "../../auth/text-file.ts"

export interface Directive {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  readonly name: string
  readonly value: string
  /** The line `listener` above it; undefined: it is about the default listener, or about the whole broker. */
  readonly under: Directive | undefined
  /** Why it cannot be followed, where it names a folder to include. */
  readonly problem?: string
}

const INCLUDED = ".conf"

/** In their order, those of an included folder in the place of its line. Throws a `FileError` for a file that cannot be read. */
export async function readDirectives(path: string): Promise<Directive[]> {
  return await read(path, true)
}

/** `mosquitto.conf:12` */
export function placeOf({ file, line }: Directive): string {
  return `${file}:${line}`
}

async function read(file: string, isMain: boolean): Promise<Directive[]> {
  const directives: Directive[] = []
  // What is not UTF-8 in a comment is nobody's business; in a value it is seen by what stands for it.
  const lines = (await readBytes(file)).toString("utf8").split("\n")
  let under: Directive | undefined
  for (const [at, text] of lines.entries()) {
    const [name, value] = split(trim(text))
    if (name === "" || name.startsWith("#")) continue
    const directive: Directive = { file, line: at + 1, name, value, under }
    if (name === "listener") under = directive
    if (name !== "include_dir" || !isMain) {
      directives.push(directive)
      continue
    }
    const included = await filesIn(value)
    if (typeof included === "string") directives.push({ ...directive, problem: included })
    else for (const each of included) directives.push(...(await read(join(value, each), false)))
  }
  return directives
}

function split(line: string): readonly [name: string, value: string] {
  const end = line.search(/[\t ]/)
  return end < 0 ? [line, ""] : [line.slice(0, end), trim(line.slice(end))]
}

/** The files of a folder that Mosquitto includes, in its order; or why there are none. */
async function filesIn(folder: string): Promise<string[] | string> {
  try {
    const names = await readdir(folder)
    return names.filter((name) => name.endsWith(INCLUDED) && name.length > INCLUDED.length).sort(inOrder)
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code})`
  }
}

/** By letters, and of the same letter the capital first: `A.conf a.conf B.conf`. */
function inOrder(one: string, other: string): number {
  const at = [...one].findIndex((letter, at) => letter !== other[at])
  if (at < 0) return one.length - other.length
  const [first, second] = [one[at]!, other[at] ?? ""]
  const [letter, otherLetter] = [first.toUpperCase(), second.toUpperCase()]
  if (letter === otherLetter) return first < second ? -1 : 1
  return letter < otherLetter ? -1 : 1
}

/**
 * JSON as somebody looks at it: in coloured parts on lines of their own, and the numbers in it. It is read from the text as it is: a number
 * that no JavaScript number can hold is shown as it was sent, and of a text that has been cut off what is there.
 */

/** What a part of the text is, so that each has its colour. */
export type JsonPart = "key" | "string" | "number" | "literal" | "punctuation"

export interface JsonToken {
  readonly part: JsonPart
  readonly text: string
}

/** A line, and how deep it lies. */
export interface JsonLine {
  readonly depth: number
  readonly tokens: readonly JsonToken[]
}

export interface JsonReading {
  readonly lines: readonly JsonLine[]
  /** By where they are: `temperature`, `values[0].max`; a text that is a number is `""`. The first 100. */
  readonly numbers: ReadonlyMap<string, number>
}

const MOST_NUMBERS = 100
/** Deeper than that nobody looks. */
const MOST_DEPTH = 64

const space = /[ \t\n\r]*/y
// JSON's strings hold no control characters below 0x20, but those above.
const token =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what they must not hold
  /([{}[\]:,])|("[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)/y
/** What a token can be before its end. */
const beginning =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: likewise
  /^(?:"[^"\\\u0000-\u001f]*(?:\\.[^"\\\u0000-\u001f]*)*\\?|-?[\d.eE+-]*|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)$/
const plainKey = /^[\p{L}_$][\p{L}\p{N}_$-]*$/u

/** Where the reader is in an object or an array. */
interface Level {
  readonly closing: "}" | "]"
  readonly path: string
  /** What may come next. */
  expects: "key or end" | "key" | "colon" | "value or end" | "value" | "comma or end"
  key: string
  index: number
}

/** Undefined: it is no JSON. `isCut`: the text has been cut off somewhere, and what there is of it counts. */
export function readJson(text: string, isCut = false): JsonReading | undefined {
  const reader = new Reader()
  let at = 0
  for (;;) {
    space.lastIndex = at
    space.test(text)
    at = space.lastIndex
    token.lastIndex = at
    const [found = "", punctuation, string, number] = token.exec(text) ?? []
    if (found === "") break
    at += found.length
    if (isCut && at === text.length && number !== undefined) return reader.end(true) // of which digits may be missing
    const isRight =
      punctuation === undefined
        ? reader.onValue(found, string === undefined ? (number === undefined ? "literal" : "number") : "string")
        : reader.onPunctuation(punctuation)
    if (!isRight) return undefined
  }
  if (!isCut) return at === text.length ? reader.end(false) : undefined
  return beginning.test(text.slice(at)) ? reader.end(true) : undefined
}

class Reader {
  private readonly lines: { depth: number; tokens: JsonToken[] }[] = [{ depth: 0, tokens: [] }]
  private readonly numbers = new Map<string, number>()
  private readonly levels: Level[] = []
  private isWhole = false

  /** False: it may not stand here. */
  onValue(text: string, part: JsonPart): boolean {
    const level = this.levels.at(-1)
    if (part === "string" && (level?.expects === "key" || level?.expects === "key or end")) {
      this.newLine()
      level.expects = "colon"
      level.key = JSON.parse(text) as string
      return this.write("key", text)
    }
    if (!this.mayBegin(level)) return false
    if (part === "number" && this.numbers.size < MOST_NUMBERS) this.numbers.set(pathOf(level), Number(text))
    this.write(part, text)
    return this.ended()
  }

  onPunctuation(text: string): boolean {
    const level = this.levels.at(-1)
    if (text === "{" || text === "[") return this.open(level, text)
    if (level === undefined) return false
    if (text === level.closing) return this.close(level)
    if (text === ":" && level.expects === "colon") {
      level.expects = "value"
      return this.write("punctuation", ": ")
    }
    if (text !== "," || level.expects !== "comma or end") return false
    level.expects = level.closing === "}" ? "key" : "value"
    level.index++
    return this.write("punctuation", ",")
  }

  end(isCut: boolean): JsonReading | undefined {
    return this.isWhole || isCut ? { lines: this.lines, numbers: this.numbers } : undefined
  }

  private open(level: Level | undefined, text: "{" | "["): boolean {
    if (!this.mayBegin(level) || this.levels.length === MOST_DEPTH) return false
    const inner = { path: pathOf(level), key: "", index: 0 }
    if (text === "{") this.levels.push({ ...inner, closing: "}", expects: "key or end" })
    else this.levels.push({ ...inner, closing: "]", expects: "value or end" })
    return this.write("punctuation", text)
  }

  private close(level: Level): boolean {
    const isEmpty = level.expects === "key or end" || level.expects === "value or end"
    if (!isEmpty && level.expects !== "comma or end") return false
    this.levels.pop()
    if (!isEmpty) this.lines.push({ depth: this.levels.length, tokens: [] })
    this.write("punctuation", level.closing)
    return this.ended()
  }

  /** Whether a value may begin here; in an array it gets its line. */
  private mayBegin(level: Level | undefined): boolean {
    if (level === undefined) return !this.isWhole
    if (level.expects !== "value" && level.expects !== "value or end") return false
    if (level.closing === "]") this.newLine()
    return true
  }

  private ended(): true {
    const level = this.levels.at(-1)
    if (level === undefined) this.isWhole = true
    else level.expects = "comma or end"
    return true
  }

  private newLine(): void {
    this.lines.push({ depth: this.levels.length, tokens: [] })
  }

  private write(part: JsonPart, text: string): true {
    this.lines.at(-1)!.tokens.push({ part, text })
    return true
  }
}

function pathOf(level: Level | undefined): string {
  if (level === undefined) return ""
  const { path, key, index } = level
  if (level.closing === "]") return `${path}[${index}]`
  if (!plainKey.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === "" ? key : `${path}.${key}`
}

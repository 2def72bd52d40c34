/**
 * Patterns of topic names with places for params: `sensors/:id/temp`, `logs/:path*`.
 *
 * A level `:name` is a param of exactly one level, as `+` is in a filter; `:name*`, at the end, is one of all the levels that
 * are left, none included, as `#` is. Every other level stands for itself, so a name of a pattern has no more wildcards
 * than the params it lacks. Names of params are JavaScript identifiers.
 *
 * Writing is strict and reading is not. `name` and `filter` refuse a param that is not whole levels of its own: an empty one, one
 * that holds `/`, `+` or `#` (there is no way to escape these in MQTT), and a `$` at the very beginning, which wildcards
 * do not match. [MQTT-4.7.2-1] `params` takes what the filter matches, levels that somebody else has left empty included: what a
 * subscription to `filter()` receives always has params, and `params(name(p))` is `p`.
 */
import { isEncodable } from "../../codec/index.ts"
import { ManjuError } from "../errors.ts"

/**
 * The params of a pattern: text for a level, a list of levels for a rest. `{}` where it has none; anything for a
 * pattern that is only known to be a `string`.
 *
 * @example
 * type Params = TopicParams<"sensors/:id/temp">       // { id: string }
 * type Log = TopicParams<"logs/:service/:path*">      // { service: string; path: readonly string[] }
 */
export type TopicParams<Pattern extends string> = string extends Pattern
  ? Record<string, string | readonly string[]>
  : {
      [Place in Places<Pattern> as Place extends `${infer Name}*` ? Name : Place]: Place extends `${string}*`
        ? readonly string[]
        : string
    }

/** What stands behind the colons: `id`, `path*`. */
type Places<Pattern extends string, Found extends string = never> = Pattern extends `${infer Level}/${infer Rest}`
  ? Places<Rest, Found | Place<Level>>
  : Found | Place<Pattern>
type Place<Level extends string> = Level extends `:${infer Name}` ? Name : never

/** A level that stands for itself, or one, or several, that a param fills. */
interface Level {
  readonly text: string
  readonly param: string | undefined
  readonly isRest: boolean
}

const PLACE = /^:(?<param>[\p{ID_Start}$_][\p{ID_Continue}$]*)(?<rest>\*?)$/u

export class TopicPattern<Params extends object> {
  readonly text: string
  private readonly levels: readonly Level[]
  private readonly names: readonly string[]
  /** Captures the params in their order. */
  private readonly expression: RegExp

  /** Throws `INVALID_TOPIC` for what is no pattern. */
  constructor(text: string) {
    this.text = text
    if (text === "" || !isEncodable(text)) throw invalid(`not a pattern: ${JSON.stringify(text.slice(0, 80))}`)
    if (text.startsWith("$share/")) throw invalid(`a pattern is one of topic names, without a share: ${text}`)
    this.levels = text.split("/").map((level, depth, all) => readLevel(level, depth === all.length - 1, text))
    this.names = this.levels.flatMap(({ param }) => param ?? [])
    for (const name of new Set(this.names)) {
      if (this.names.indexOf(name) !== this.names.lastIndexOf(name)) throw invalid(`:${name} is there twice: ${text}`)
    }
    this.expression = expressionOf(this.levels)
  }

  /** The topic name with these params. Throws `INVALID_TOPIC` for params that make none. */
  name(params: Params): string {
    const levels = this.levels.flatMap((level) => {
      const written = this.write(level, params)
      if (written === undefined) throw invalid(`${this.text} needs :${level.param}`)
      return written
    })
    return this.join(levels)
  }

  /** The topic filter with these params and wildcards for the others. Throws `INVALID_TOPIC` as `name` does. */
  filter(params: Partial<Params> = {}): string {
    return this.join(this.levels.flatMap((level) => this.write(level, params) ?? (level.isRest ? "#" : "+")))
  }

  /** The params of a topic name; undefined if it is none of this pattern. */
  params(topicName: string): Params | undefined {
    const found = this.expression.exec(topicName)
    if (found === null) return undefined
    const rest = this.levels.at(-1)!.isRest ? this.names.length - 1 : -1
    const values = this.names.map((name, i) => [name, i === rest ? (found[i + 1]?.split("/") ?? []) : found[i + 1]])
    return Object.fromEntries(values) as Params
  }

  /** Whether a topic name is one of this pattern. */
  matches(topicName: string): boolean {
    return this.expression.test(topicName)
  }

  /** A level with its param, as levels; undefined where the param is not given. */
  private write({ text, param, isRest }: Level, params: Partial<Params>): string | readonly string[] | undefined {
    if (param === undefined) return text
    const value: unknown = Object.hasOwn(params, param) ? params[param as keyof Params] : undefined
    if (value === undefined) return undefined
    if (isRest !== Array.isArray(value)) {
      throw invalid(`:${param} of ${this.text} takes ${isRest ? "a list of levels" : "one level, a string"}`)
    }
    for (const level of isRest ? (value as unknown[]) : [value]) {
      if (typeof level === "string" && /^[^/+#]+$/.test(level)) continue
      const shown = typeof level === "string" ? JSON.stringify(level.slice(0, 80)) : typeof level
      throw invalid(`a level of :${param} in ${this.text} is text, not empty, without "/", "+" and "#"; not ${shown}`)
    }
    return value as string | readonly string[]
  }

  private join(levels: readonly string[]): string {
    const joined = levels.join("/")
    if (this.levels[0]!.param !== undefined && joined.startsWith("$")) {
      throw invalid(`no wildcard matches a "$" at the beginning, so no param of ${this.text} may have it there`)
    }
    if (joined === "") throw invalid(`the params of ${this.text} leave nothing of it`)
    if (!isEncodable(joined)) throw invalid(`cannot be sent as UTF-8 text: ${JSON.stringify(joined.slice(0, 80))}`)
    return joined
  }
}

function readLevel(text: string, isLast: boolean, pattern: string): Level {
  if (/[+#]/.test(text)) throw invalid(`a pattern has params in place of wildcards, ":name" and ":name*": ${pattern}`)
  if (!text.startsWith(":")) return { text, param: undefined, isRest: false }
  const place = PLACE.exec(text)?.groups
  if (place === undefined) throw invalid(`a param is a whole level, ":" and an identifier, not ${text}: ${pattern}`)
  const isRest = place.rest === "*"
  if (isRest && !isLast) throw invalid(`${text} takes all the levels that are left and has to be the last: ${pattern}`)
  return { text, param: place.param!, isRest }
}

/** Matches what the filter with wildcards for all params does. */
function expressionOf(levels: readonly Level[]): RegExp {
  const [first] = levels
  let source = `^(?!$)${first!.param === undefined ? "" : "(?!\\$)"}`
  for (const [depth, { text, param, isRest }] of levels.entries()) {
    const slash = depth === 0 ? "" : "/"
    if (param === undefined) source += slash + RegExp.escape(text)
    else if (!isRest) source += `${slash}([^/+#]*)`
    else source += depth === 0 ? "([^+#]*)" : "(?:/([^+#]*))?" // "#" is the level above as well
  }
  return new RegExp(`${source}$`)
}

function invalid(message: string): ManjuError {
  return new ManjuError("INVALID_TOPIC", message)
}

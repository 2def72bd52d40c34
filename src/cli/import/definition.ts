/** What a directive of a `mosquitto.conf` can be about, what values it can have and what can become of it: the words of `directives.ts`. */

/** What a directive is about. */
export type Scope =
  /** The broker. */
  | "broker"
  /** Every listener. */
  | "every"
  /** The listener that it stands under, or, unless `per_listener_settings` is true, every one. */
  | "security"
  /** The listener that it stands under. */
  | "listener"
  /** The listener that Mosquitto opens without being told to, wherever it stands. */
  | "default"
  /** Of whom what follows is said. */
  | "whose"
  /** A connection to another broker. */
  | "bridge"

/** Why a directive sets nothing. */
export interface Left {
  /**
   * `needless`: nothing is missing. `lost`: something is, but not of who may come in. `narrower`: some may not come in who may at
   * Mosquitto's. `closes`: more could come in, so that nobody may until somebody has looked at it.
   */
  readonly kind: "needless" | "lost" | "narrower" | "closes"
  readonly why: string
}

/** Keys with values; from the top, or from the listener, as the scope is. */
export interface Keys {
  readonly kind: "keys"
  readonly values: Readonly<Record<string, unknown>>
}

export type Fate = Left | Keys | { readonly kind: "together" }

/** A directive that is read and has found its fate. */
export interface Reading {
  readonly value: unknown
  readonly fate: Fate
}

export interface Definition {
  readonly scope: Scope
  /** What its value may be, in words. */
  readonly takes: string
  /** Undefined: that is no value for it. */
  readonly read: (text: string) => Reading | undefined
  /** Whether it may stand there several times; otherwise the last counts. */
  readonly mayRepeat: boolean
  /** Whether Mosquitto minds it when it stands there several times. */
  readonly isText: boolean
  /** Whether its value must not be shown. */
  readonly isSecret: boolean
}

/** What a value may be. */
export interface Kind<T> {
  readonly takes: string
  readonly parse: (text: string) => T | undefined
  readonly isText?: boolean
}

const booleans = new Map([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
])
export const yesOrNo: Kind<boolean> = { takes: "true or false", parse: (value) => booleans.get(firstWord(value)) }
export const number = (minimum = 0, maximum = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  takes: `a whole number from ${minimum} to ${maximum}`,
  parse: (text) => {
    const value = /^[-+]?\d+$/.test(firstWord(text)) ? Number.parseInt(text, 10) : Number.NaN
    return value >= minimum && value <= maximum ? value : undefined
  },
})
/** What is below 0 is no limit. */
export const limit: Kind<number> = {
  takes: "a whole number",
  parse: (value) => (/^[-+]?\d+$/.test(firstWord(value)) ? Math.max(-1, Number.parseInt(value, 10)) : undefined),
}
export const text: Kind<string> = {
  takes: "text that is UTF-8",
  parse: (value) => (value === "" || value.includes("\ufffd") ? undefined : value),
  isText: true,
}
export const word = <const Words extends string>(...words: Words[]): Kind<Words> => ({
  takes: `one of ${words.join(", ")}`,
  parse: (value) => words.find((each) => each === firstWord(value)),
})
export const anything: Kind<string> = { takes: "anything", parse: (value) => value }

export function firstWord(value: string): string {
  return value.split(/[\t ]/, 1)[0]!
}

type More = Partial<Pick<Definition, "mayRepeat" | "isSecret">>

/** A directive: what it is about, what it takes and what becomes of it. */
export function about<T>(
  scope: Scope,
  { takes, parse, isText }: Kind<T>,
  fate: Fate | ((value: T) => Fate),
  more: More = {},
): Definition {
  const read = (written: string) => {
    const value = parse(written)
    return value === undefined ? undefined : { value, fate: typeof fate === "function" ? fate(value) : fate }
  }
  return { scope, takes, read, mayRepeat: false, isText: isText ?? false, isSecret: false, ...more }
}

export const set = (values: Readonly<Record<string, unknown>>): Keys => ({ kind: "keys", values })
export const setting = (key: string) => (value: unknown) => set({ [key]: value })
const leave =
  (kind: Left["kind"]) =>
  (why: string): Left => ({ kind, why })
export const needless = leave("needless")
export const lost = leave("lost")
export const narrower = leave("narrower")
export const closes = leave("closes")
export const together: Fate = { kind: "together" }

export const asItIs = needless("so it is here anyway")
/** Nothing is missing where it says what holds here anyway. */
export const unless = (standard: boolean, fate: Fate) => (value: boolean) => (value === standard ? asItIs : fate)

/** `14d`; a month has 30 days and a year 365. */
export function duration(): Kind<number> {
  const seconds: Record<string, number> = { h: 3600, d: 86_400, w: 604_800, m: 2_592_000, y: 31_536_000 }
  return {
    takes: "a whole number with h, d, w, m or y behind it",
    parse: (value) => {
      const [, count, unit] = /^([1-9]\d*)([hdwmy])$/.exec(firstWord(value)) ?? []
      return count === undefined ? undefined : Math.min(Number(count) * seconds[unit!]!, 0xffff_ffff)
    },
  }
}

/** `1883`, `1883 127.0.0.1`, `0 /run/mosquitto.sock` */
export function place(): Kind<string> {
  return {
    takes: "a port and an address, or 0 and the path of a socket",
    parse: (value) => {
      const [port = "", at = ""] = value.split(/[\t ]+/)
      const isOne = /^\d+$/.test(port) && Number(port) <= 65_535
      return isOne && (Number(port) > 0 || (at !== "" && !at.startsWith("#"))) ? value : undefined
    },
  }
}

/** `3, 4` */
export function protocolVersions(): Kind<string[]> {
  const names = new Map([
    ["3", "3.1"],
    ["4", "3.1.1"],
    ["5", "5"],
  ])
  return {
    takes: "a list of 3, 4 and 5",
    parse: (value) => {
      const versions = value.split(",").map((each) => names.get(each.trim()))
      return versions.every((version) => version !== undefined) ? versions : undefined
    },
  }
}

/**
 * The keys of the configuration, read off its schema: which there are, what stands below which, and how each is called in the environment.
 *
 * `limits.maximumInflight` is `MANJU_LIMITS_MAXIMUM_INFLIGHT`, `listeners[0].tls.cert` is `MANJU_LISTENERS_0_TLS_CERT`. A secret may also
 * come from a file, which the same name with `_FILE` behind it then names.
 */
import * as v from "valibot"
import type { Traits } from "./fields.ts"
import { configSchema, listenerType } from "./schema.ts"

/** Where a key is, from the top; a listener by its number. */
export type Path = readonly (string | number)[]
/** In a path of the schema: every listener. */
export const EVERY = "*"

/** What a schema is in which others are, as valibot has them. */
interface Parts {
  readonly type: string
  readonly wrapped?: Schema
  readonly default?: unknown
  readonly entries?: Readonly<Record<string, Schema>>
  readonly item?: Schema
  readonly options?: readonly Schema[]
  readonly message?: unknown
  readonly literal?: unknown
}
export type Schema = v.GenericSchema & Parts

/** A key, as the schema has it. */
export interface Key {
  /** From the top, with `*` for the number of a listener. */
  readonly path: readonly string[]
  readonly schema: Schema
  readonly isRequired: boolean
}

export const root = configSchema as unknown as Schema
const discriminator = { type: listenerType as unknown as Schema }

export const PREFIX = "MANJU_"
export const FROM_FILE = "_FILE"

/** The schema of the value itself, whether or not it may be missing. */
export function valueSchema(schema: Schema): Schema {
  return schema.wrapped ?? schema
}

/** The keys in a table, with those of all kinds that it can be of; undefined for what is no table. */
export function entriesOf(schema: Schema): Readonly<Record<string, Schema>> | undefined {
  const { type, entries, options } = valueSchema(schema)
  if (type === "strict_object") return entries
  // The first kind that has a key speaks for the others.
  if (type === "variant") return Object.assign({}, ...options!.map((option) => option.entries).reverse(), discriminator)
  return undefined
}

/** The tables in a list of tables; undefined for what is none. */
export function itemOf(schema: Schema): Schema | undefined {
  const { item } = valueSchema(schema)
  return item !== undefined && entriesOf(item) !== undefined ? item : undefined
}

/** Below the top, by its path; undefined where there is no such key. */
export function schemaAt(path: Path): Schema | undefined {
  let schema: Schema | undefined = root
  for (const step of path) {
    if (schema === undefined) return undefined
    const isNumber = typeof step === "number" || step === EVERY
    schema = isNumber ? itemOf(schema) : own(entriesOf(schema), step)
  }
  return schema
}

/** A name of an object's own; what all objects have is no key. */
export function own<T>(entries: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return entries !== undefined && Object.hasOwn(entries, name) ? entries[name] : undefined
}

/** Every key, tables and lists before what is in them. */
export function allKeys(): readonly Key[] {
  return [...keysBelow(root, [])]
}

function* keysBelow(schema: Schema, path: readonly string[]): Generator<Key> {
  const item = itemOf(schema)
  if (item !== undefined) yield* keysBelow(item, [...path, EVERY])
  for (const [name, entry] of Object.entries(entriesOf(schema) ?? {})) {
    const at = [...path, name]
    yield { path: at, schema: entry, isRequired: entry.wrapped === undefined }
    yield* keysBelow(entry, at)
  }
}

/** What it is for. */
export function helpOf(schema: Schema): string {
  return v.getDescription(valueSchema(schema)) ?? ""
}

export function traitsOf(schema: Schema): Traits {
  return v.getMetadata(valueSchema(schema)) as Traits
}

/** What it takes, in words. */
export function takesOf(schema: Schema): string {
  const value = valueSchema(schema)
  const { entries } = value
  if (entries !== undefined) return `a table with ${Object.keys(entries).join(", ")}`
  return value.type === "literal" ? JSON.stringify(value.literal) : String(value.message)
}

/** `listeners[0].tls.cert` */
export function keyName(path: Path): string {
  return path.map((step, at) => (typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${step}`)).join("")
}

/** `MANJU_LISTENERS_0_TLS_CERT` */
export function variableOf(path: Path): string {
  return PREFIX + path.map((step) => snake(String(step))).join("_")
}

/** The key of a variable without its prefix; undefined where there is none. */
export function pathOf(rest: string, schema: Schema = root): Path | undefined {
  const item = itemOf(schema)
  if (item !== undefined) {
    const [all, digits] = /^(0|[1-9]\d{0,2})(?:_(?=.)|$)/.exec(rest) ?? []
    return all === undefined ? undefined : below(Number(digits), rest.slice(all.length), item)
  }
  for (const [name, entry] of Object.entries(entriesOf(schema) ?? {})) {
    const start = snake(name)
    if (rest === start) return [name]
    const isBelow = rest.startsWith(`${start}_`) && rest.length > start.length + 1
    const path = isBelow ? below(name, rest.slice(start.length + 1), entry) : undefined
    if (path !== undefined) return path
  }
  return undefined
}

function below(step: string | number, rest: string, schema: Schema): Path | undefined {
  if (rest === "") return [step]
  const path = pathOf(rest, schema)
  return path && [step, ...path]
}

/** `maximumInflight` -> `MAXIMUM_INFLIGHT`; `QoS` is one word. */
function snake(name: string): string {
  return name
    .replace("QoS", "Qos")
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase()
}

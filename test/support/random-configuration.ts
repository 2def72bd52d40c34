/** Random configurations that the schema accepts, read off the schema itself, and all ways to write one into the environment. */
import * as v from "valibot"
import {
  entriesOf,
  itemOf,
  type Path,
  root,
  type Schema,
  schemaAt,
  traitsOf,
  valueSchema,
  variableOf,
} from "../../src/config/keys.ts"
import { isTable } from "../../src/config/problems.ts"
import { listenerSchemas, listenerTypes } from "../../src/config/schema.ts"
import type { Random } from "./bytes.ts"

type Values = Record<string, unknown>

/** Texts of every form that a key asks for, and such as are hard to write. */
const TEXTS = [
  "",
  "a",
  'it\'s "quoted" \\n',
  "two\nlines\ttab",
  "ünïcödé 😀",
  " blanks ",
  "a,b",
  "# no comment",
  "site/1/",
  "/mqtt",
  "660",
]
const LONG_TEXTS = [
  "0600",
  "a-secret-of-more-than-sixteen",
  "https://a.example",
  "http://127.0.0.1:9/x?y=1",
  "10.0.0.0/8",
  "true",
  "5",
]
/** What everybody may listen on without a word on auth. */
const HOSTS = ["127.0.0.1", "::1", "localhost", "127.0.0.3"]

/** A configuration without conflicts, in which every key of the schema is there some time or other. */
export function randomConfiguration(random: Random): Values {
  const values = tableOf(random, root, 0.3)
  const listeners = Array.from({ length: random.between(1, 4) }, () => {
    const type = random.pick(listenerTypes)
    return tableOf(random, listenerSchemas[type] as unknown as Schema, 0.4)
  })
  listeners.push({ type: "tcp" })
  for (const [at, listener] of listeners.entries()) settle(random, listener, at)
  settleAuth(values.auth as Values | undefined)
  if (isTable(values.admin) && values.admin.password === undefined) delete values.admin.user
  return { ...values, listeners }
}

/** Takes out of a listener what does not go together. */
function settle(random: Random, listener: Values, at: number): void {
  if (listener.type === "unix") listener.path = `/run/${at}.sock`
  else {
    listener.port = 1000 + at
    if ("hostname" in listener) listener.hostname = random.pick(HOSTS)
  }
  if ("id" in listener) listener.id = `${listener.id} ${at}`
  if ("tls" in listener) delete listener.proxy
  delete listener.usernameFrom // with a name for everybody, nobody is anonymous: the default auth may say otherwise
  for (const door of [listener, listener.websocket as Values | undefined]) {
    settleAuth(door?.auth as Values | undefined)
    if (door !== undefined && isTable(door.auth) && Object.keys(door.auth).length === 0) delete door.auth
  }
}

function settleAuth(auth: Values | undefined): void {
  if (auth === undefined) return
  if (auth.allowAnonymous === false) delete auth.allowAnonymous
  if (isTable(auth.jwt)) {
    for (const name of ["secret", "key", "jwks"]) delete auth.jwt[name]
    auth.jwt.jwks = "/keys.json"
  }
  if (Object.keys(auth).every((name) => name === "verificationsAtOnce")) delete auth.verificationsAtOnce
}

function tableOf(random: Random, schema: Schema, probability: number): Values {
  const values: Values = {}
  for (const [name, entry] of Object.entries(entriesOf(schema)!)) {
    const isThere = entry.wrapped === undefined || random.chance(probability)
    if (isThere && itemOf(entry) === undefined) values[name] = randomValue(random, entry)
  }
  return values
}

function randomValue(random: Random, schema: Schema): unknown {
  const value = valueSchema(schema)
  if (entriesOf(value) !== undefined) return tableOf(random, value, 0.4)
  if (traitsOf(value).isFile) return `/${random.pick(["x", "a b", "ü.txt"])}`
  switch (value.type) {
    case "number":
      return random.pick([boundOf(value, "min_value"), boundOf(value, "max_value"), inRange(random, value)])
    case "boolean":
      return random.chance(0.5)
    case "literal":
      return value.literal
    case "picklist":
      return random.pick(value.options!)
    case "array":
      return Array.from({ length: random.between(1, 3) }, () => randomValue(random, value.item!))
    case "union":
      return randomValue(random, random.pick(value.options!))
    case "record":
      return { authorization: "Bearer x", "x-a b": random.pick(TEXTS) }
    default:
      return random.pick([...TEXTS, ...LONG_TEXTS].filter((text) => v.is(value, text)))
  }
}

function boundOf(schema: Schema, type: string): number {
  const { pipe } = schema as unknown as { pipe: readonly { type: string; requirement?: number; pipe?: never }[] }
  const flat = pipe.flatMap((each) => (each as { pipe?: typeof pipe }).pipe ?? [each])
  return flat.find((each) => each.type === type)!.requirement!
}

function inRange(random: Random, schema: Schema): number {
  const most = Math.min(boundOf(schema, "max_value"), 2 ** 31)
  return random.between(boundOf(schema, "min_value"), most)
}

/** The variables that say the same: some tables and lists whole, in JSON, the others value by value. */
export function asEnvironment(random: Random, values: Values, jsonProbability: number): Record<string, string> {
  const variables: Record<string, string> = {}
  const write = (path: Path, value: unknown) => {
    const schema = schemaAt(path)!
    const isList = itemOf(schema) !== undefined
    const isWhole = random.chance(jsonProbability)
    if (isList && !isWhole) {
      variables[variableOf(path)] = "[]" // in place of those that there are without any
      for (const [at, item] of (value as unknown[]).entries()) write([...path, at], item)
    } else if (isTable(value) && entriesOf(schema) !== undefined && !isWhole && Object.keys(value).length > 0) {
      for (const [name, inner] of Object.entries(value)) write([...path, name], inner)
    } else variables[variableOf(path)] = textOf(random, schema, value)
  }
  for (const [name, value] of Object.entries(values)) write([name], value)
  return variables
}

/** A list of words may stand with commas, where nothing but a list can be meant. */
function textOf(random: Random, schema: Schema, value: unknown): string {
  if (typeof value !== "object") return String(value)
  const isOfWords = Array.isArray(value) && value.every((each) => /^[\w.]+$/.test(String(each)))
  const isList = valueSchema(schema).type === "array"
  return isList && isOfWords && random.chance(0.5) ? value.join(", ") : JSON.stringify(value)
}

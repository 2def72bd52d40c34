/**
 * What the schema of the configuration is made of: kinds of values, each with what it takes, in words, and what it is for.
 *
 * The words are the message of whatever valibot finds wrong with a value. What a value is for is its description: the help of flags, the
 * example file and the JSON Schema have it from there.
 */
import * as v from "valibot"

/** What else there is to say of a value. */
export interface Traits {
  /** It names a file, relative to the file that it is written in. */
  readonly isFile?: boolean
  /** It is never printed. */
  readonly isSecret?: boolean
  /** What the example file shows, where there is no default. */
  readonly example?: unknown
}

/** The schema with what is said of it. */
export function described<Schema extends v.GenericSchema>(schema: Schema, help: string, traits: Traits = {}): Schema {
  return v.pipe(schema, v.description(help), v.metadata({ ...traits })) as unknown as Schema
}

export function wholeNumber(minimum: number, maximum: number, help: string, traits?: Traits) {
  const takes = `a whole number from ${minimum} to ${maximum}`
  const range = [v.minValue<number, number, string>(minimum, takes), v.maxValue<number, number, string>(maximum, takes)]
  return described(v.pipe(v.number(takes), v.integer(takes), ...range), help, traits)
}

export function yesOrNo(help: string, traits?: Traits) {
  return described(v.boolean("true or false"), help, traits)
}

export function oneOf<const Choices extends readonly string[]>(choices: Choices, help: string, traits?: Traits) {
  return described(v.picklist(choices, `one of ${choices.join(", ")}`), help, traits)
}

/** A text, also an empty one. */
export function text(help: string, traits?: Traits) {
  return described(v.string("text"), help, traits)
}

/** A text that is not empty. */
export function name(help: string, traits?: Traits, takes = "text that is not empty") {
  return described(v.pipe(v.string(takes), v.nonEmpty(takes)), help, traits)
}

/** A text of a form. `takes`: the form in words. */
export function pattern(form: RegExp, takes: string, help: string, traits?: Traits) {
  return described(v.pipe(v.string(takes), v.regex(form, takes)), help, traits)
}

export function file(help: string, example: string) {
  return name(help, { isFile: true, example }, "the name of a file")
}

/** A file with PEM in it, or the PEM itself. */
export function pem(help: string, example: string) {
  return name(help, { isFile: true, example }, "the name of a PEM file, or what is in it")
}

/** Several texts, at least one. `takes`: all of it in words. */
export function names(takes: string, help: string, traits?: Traits) {
  return described(v.pipe(v.array(v.string(takes), takes), v.minLength(1, takes)), help, traits)
}

/** Several of some texts, at least one. `takes`: all of it in words. */
export function someOf<const Choices extends readonly string[]>(
  choices: Choices,
  takes: string,
  help: string,
  traits?: Traits,
) {
  return described(v.pipe(v.array(v.picklist(choices, takes), takes), v.minLength(1, takes)), help, traits)
}

/** One text, or several. */
export function nameOrNames(help: string, traits?: Traits) {
  const takes = "text, or a list of texts"
  const one = v.pipe(v.string(takes), v.nonEmpty(takes))
  return described(v.union([one, v.pipe(v.array(one, takes), v.minLength(1, takes))], takes), help, traits)
}

/** A table whose names are free and whose values must not be seen. */
export function secrets(help: string, example: Readonly<Record<string, string>>) {
  const takes = "a table of texts"
  return described(v.record(v.string(), v.string(takes), takes), help, { isSecret: true, example })
}

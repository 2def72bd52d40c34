/** Values from text, for the environment and for flags: as the key takes them. What cannot be read stays text, and is refused as such. */
import { entriesOf, type Schema, valueSchema } from "./keys.ts"

/**
 * A number in digits, `true` or `false`, a list with commas or in JSON, a table in JSON, text as it is.
 *
 * @example
 * fromText(schemaAt(["limits", "maximumInflight"])!, "16") // 16
 */
export function fromText(schema: Schema, text: string): unknown {
  const value = valueSchema(schema)
  if (entriesOf(value) !== undefined) return fromJson(text)
  switch (value.type) {
    case "number":
      return /^-?\d+$/.test(text) ? Number(text) : text
    case "boolean":
      return text === "true" || (text === "false" ? false : text)
    case "array":
      return text.startsWith("[") || entriesOf(value.item!) !== undefined ? fromJson(text) : listOf(text)
    case "record":
      return fromJson(text)
    case "union":
      return fromEither(value.options!, text)
    default:
      return text
  }
}

/** One thing or several: a list that is to be told from text is in JSON. */
function fromEither(options: readonly Schema[], text: string): unknown {
  if (text.startsWith("[")) return fromJson(text)
  const single = options.find(({ type }) => type !== "array")!
  const value = fromText(single, text)
  return single.type !== "string" && value === text ? listOf(text) : value
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function listOf(text: string): string[] {
  return text.split(",").map((each) => each.trim())
}

/** The configuration as a JSON Schema, for editors that complete and check TOML by one. */
import { toJsonSchema } from "@valibot/to-json-schema"
import { configSchema } from "./schema.ts"

/** JSON, with a line feed at the end. */
export function jsonSchema(): string {
  // Metadata are our own: descriptions are apart from them.
  const schema = toJsonSchema(configSchema, { ignoreActions: ["metadata"], typeMode: "input" })
  const { $schema, ...rest } = schema
  return `${JSON.stringify({ $schema, title: "The configuration of manju", ...rest }, null, 2)}\n`
}

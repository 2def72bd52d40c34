/** `manju config`: what helps to write a configuration. */
import type { Command } from "commander"
import { print } from "./output.ts"

export function describeConfig(program: Command): void {
  const config = program.command("config").description("print what helps to write a configuration")
  config
    .command("example")
    .description("a file with every key: what it is for, and its default")
    .action(async () => print((await import("../config/example.ts")).exampleFile()))
  config
    .command("schema")
    .description("a JSON Schema, for editors that complete and check TOML")
    .action(async () => print((await import("../config/json-schema.ts")).jsonSchema()))
}

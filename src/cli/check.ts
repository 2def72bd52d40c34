/** `manju check`: what would hold, and whether it would work; and what a database holds. */
import type { Command } from "commander"
import { takeFlags } from "./flags.ts"

/** Tells commander of it. */
export function describeCheck(program: Command): void {
  const command = program
    .command("check")
    .description("check the configuration and print what holds; with --data, say what the database holds")
  const given = takeFlags(command)
  command.action(async () => {
    const { check } = await import("./check/run.ts") // which a broker does without
    await check(given(process.env))
  })
}

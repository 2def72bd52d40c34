/** What a command is asked to print is its result: where that cannot be written, it has failed. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "../support/broker-process.ts"
import { shellCommand } from "../support/command.ts"
import { makeDatabase } from "../support/database.ts"
import { LineProcess } from "../support/line-process.ts"
import { sha512Hash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const commands: [args: string, what: string][] = [
  ["config example", "the example of a configuration"],
  ["config schema", "the schema"],
  ["check", "what holds"],
  ["check --data FOLDER/manju.db", "what a database holds"],
  ["import mosquitto FOLDER/mosquitto.conf -o -", "the configuration that was translated"],
  ["passwd list FOLDER/users.txt", "the users"],
]

/** Runs it in a shell that sends its output there. */
async function into(redirection: string, args: string): Promise<[code: number, out: string, err: string]> {
  using folder = temporaryFolder()
  makeDatabase(join(folder.path, "manju.db"), 1)
  writeFileSync(join(folder.path, "mosquitto.conf"), "listener 1883 127.0.0.1\nallow_anonymous true\n")
  writeFileSync(join(folder.path, "users.txt"), `ada:${sha512Hash("engine")}\n`)
  const command = shellCommand(...args.replaceAll("FOLDER", folder.path).split(" "))
  await using shell = new LineProcess(["bash", "-c", `${command} ${redirection}`])
  return [await shell.ended(), shell.out, shell.err]
}

describe("on a full disk is a failure that is told", () => {
  for (const [args, what] of commands)
    test(`${what}: manju ${args}`, async () => {
      const [code, , err] = await into("> /dev/full", args)
      expect(err).toMatch(/^manju: cannot write to standard output: .*no space left.*$/im)
      expect(code).toBe(1)
    })
})

describe("a reader who wants no more of it is none", () => {
  for (const [args, what] of commands)
    test(`${what}: manju ${args}`, async () => {
      const [, out, err] = await into(`| true; echo \${PIPESTATUS[0]}`, args)
      expect([out, err.replace(/^of \d+ lines .*\n$/, "")]).toEqual(["0\n", ""])
    })
})

test("a reader who takes his time gets all of it", async () => {
  const [, out] = await into("| (sleep 0.5; cat)", "config schema")
  expect(() => JSON.parse(out)).not.toThrow()
})

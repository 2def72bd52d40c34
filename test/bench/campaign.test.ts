import { expect, test } from "bun:test"
import { join } from "node:path"
import { $ } from "bun"

const bench = join(import.meta.dir, "../../scripts/bench/index.ts")

test.each(["stresser", "profile"])("a campaign says that %s takes the tool, and measures nothing", async (name) => {
  const { exitCode, stderr } = await $`${process.execPath} ${bench} campaign --only ${name}`.nothrow().quiet()
  expect([exitCode, stderr.toString()]).toEqual([2, "error: --only: stresser and profile take --stresser, too\n"])
})

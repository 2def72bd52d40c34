/** What runs manju as a service: the unit of systemd, in the eyes of systemd's own tools, and the recipe of the image. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { devDependencies } from "../../package.json" with { type: "json" }
import { configSchema } from "../../src/config/schema.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { manju } from "../support/command.ts"

setDefaultTimeout(60_000)

const read = (path: string) => readFileSync(join(import.meta.dir, "../..", path), "utf8")

describe("the unit", () => {
  const unit = read("src/cli/service/manju.service")
  const setting = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(unit)![1]!

  /** What systemd-analyze says of the unit, as it would be where there is a manju. */
  async function analyze(text: string, ...args: string[]) {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.service")
    writeFileSync(path, text.replace("/usr/local/bin/manju", process.execPath))
    const child = Bun.spawn(["systemd-analyze", ...args, path], { stdout: "pipe", stderr: "pipe" })
    const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()])
    return { code, said: out + err }
  }

  test("is right in the eyes of systemd-analyze, which would say what is wrong", async () => {
    expect(await analyze(unit, "verify")).toEqual({ code: 0, said: "" })
    const wrong = await analyze(unit.replace("Restart=always", "Restart=sometimes"), "verify")
    expect(wrong.said).toContain("sometimes")
  })

  test("exposes little: at most 2 of 10", async () => {
    const security = ["security", "--offline=yes", "--no-pager", "--threshold=20"]
    expect((await analyze(unit, ...security)).code).toBe(0)
    expect((await analyze("[Service]\nExecStart=/usr/local/bin/manju\n", ...security)).code).toBe(1)
  })

  test("waits longer than manju takes to stop, and restarts whatever may be better the next time", async () => {
    const { default: seconds } = configSchema.entries.stopTimeoutSeconds
    expect(Number(setting("TimeoutStopSec"))).toBeGreaterThan((seconds as number) + 1)
    const { code } = await manju("start", "--tcp", "none")
    expect(setting("RestartPreventExitStatus")).toBe(String(code))
  })
})

describe("scripts/Containerfile", () => {
  const lines = read("scripts/Containerfile").split("\n")
  const argumentsOf = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1))

  test("has the Bun that manju is tested with", () => {
    const bun = `oven/bun:${devDependencies["bun-types"]}-slim`
    expect(argumentsOf("FROM")).toEqual([`${bun} AS packages`, bun])
  })

  test("asks by a command that there is, for as long as it lets that take, and as nobody in particular", async () => {
    const [, seconds, command] = /--timeout=(\d+)s .*CMD (.*)$/.exec(argumentsOf("HEALTHCHECK")[0]!)!
    const [name, ...args] = JSON.parse(command!) as string[]
    expect(name).toBe("manju")
    const { code, out } = await manju(...args, "--help")
    expect(code).toBe(0)
    const standard = /how long an answer may take \(default: (\d+)\)/.exec(out)![1]
    expect(Number(standard)).toBeLessThan(Number(seconds))
    expect(argumentsOf("USER")).toEqual(["1000:1000"])
  })

  test("starts with flags that there are", async () => {
    const [flags] = argumentsOf("CMD")
    const { code, err } = await manju(...(JSON.parse(flags!) as string[]))
    expect([code, err]).toEqual([2, expect.stringContaining("nothing says who may connect")])
  })
})

/** `manju passwd` at a terminal: it asks twice, shows nothing of it, and leaves the terminal as it was. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parsePasswords } from "../../src/auth/password-file.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { manjuCommand } from "../support/command.ts"
import { sha512Hash } from "../support/password-file.ts"
import { Terminal } from "../support/terminal.ts"

setDefaultTimeout(60_000)

const first = "Password for ada: "
const second = "The same again: "

/** `manju passwd` at a terminal, at its first question. */
class Asking implements Disposable {
  readonly terminal = new Terminal()
  private readonly folder = temporaryFolder()
  readonly path = join(this.folder.path, "users.txt")

  async start(command: "add" | "change" = "add"): Promise<void> {
    this.terminal.run(manjuCommand("passwd", command, this.path, "ada"))
    await this.terminal.shows(first)
  }

  /** Answers the first question, and waits for the second. */
  async answer(keys: string): Promise<void> {
    this.terminal.press(keys)
    await this.terminal.shows(second)
  }

  has(password: string) {
    return parsePasswords(this.path, readFileSync(this.path, "utf8")).get("ada")!.verify(Buffer.from(password))
  }

  [Symbol.dispose](): void {
    this.terminal[Symbol.dispose]()
    this.folder[Symbol.dispose]()
  }
}

describe("the password is asked for", () => {
  test("twice, and nothing of it is shown, not even how long it is", async () => {
    using asking = new Asking()
    await asking.start()
    await asking.answer("pass wörd\r")
    asking.terminal.press("pass wörd\r")
    const last = `added ada to ${asking.path}\r\n`
    expect(await asking.terminal.ended(last)).toEqual({ code: 0, shown: `${first}\r\n${second}\r\n${last}` })
    expect(await asking.has("pass wörd")).toBe(true)
  })

  test("for a change as well", async () => {
    using asking = new Asking()
    writeFileSync(asking.path, `ada:${sha512Hash("old")}\n`)
    await asking.start("change")
    await asking.answer("new\r")
    asking.terminal.press("new\r")
    const last = `changed the password of ada in ${asking.path}\r\n`
    expect(await asking.terminal.ended(last)).toEqual({ code: 0, shown: `${first}\r\n${second}\r\n${last}` })
    expect(await asking.has("new")).toBe(true)
  })

  test("and may be corrected, pasted, or typed faster than it is asked for", async () => {
    using asking = new Asking()
    await asking.start()
    asking.terminal.press("nonsense\x15pazz\x7f\x7fss\r\x1b[200~pass\x1b[201~\r")
    const last = `added ada to ${asking.path}\r\n`
    expect(await asking.terminal.ended(last)).toEqual({ code: 0, shown: `${first}\r\n${second}\r\n${last}` })
    expect(await asking.has("pass")).toBe(true)
  })

  test("not at all where that would be in vain", async () => {
    using asking = new Asking()
    writeFileSync(asking.path, `ada:${sha512Hash("old")}\n`)
    await asking.start("add")
    const { code, shown } = await asking.terminal.ended("\r\n")
    expect([code, shown]).toEqual([
      1,
      `manju: ${asking.path} has the user ada already; manju passwd change gives a new password\r\n`,
    ])
  })
})

describe("nothing changes, and the exit code tells,", () => {
  test("when the two are not the same", async () => {
    using asking = new Asking()
    await asking.start()
    await asking.answer("s3cret\r")
    asking.terminal.press("s3crte\r")
    const last = "manju: the two passwords differ; nothing has changed\r\n"
    expect(await asking.terminal.ended(last)).toEqual({ code: 1, shown: `${first}\r\n${second}\r\n${last}` })
    expect(existsSync(asking.path)).toBe(false)
  })

  test("when they are empty", async () => {
    using asking = new Asking()
    await asking.start()
    await asking.answer("\r")
    asking.terminal.press("\r")
    expect((await asking.terminal.ended("manju: a password must not be empty\r\n")).code).toBe(2)
    expect(existsSync(asking.path)).toBe(false)
  })

  const ends: [what: string, end: (terminal: Terminal) => void][] = [
    ["Ctrl-C", (terminal) => terminal.press("\x03")],
    ["Ctrl-D", (terminal) => terminal.press("\x04")],
    ["SIGTERM", (terminal) => terminal.signal("SIGTERM")],
    ["SIGHUP", (terminal) => terminal.signal("SIGHUP")],
  ]
  for (const [what, end] of ends)
    for (const question of [first, second])
      test(`when ${what} comes at «${question.trim()}»; the terminal shows what is typed again`, async () => {
        using asking = new Asking()
        const before = await asking.terminal.settings()
        await asking.start()
        if (question === second) await asking.answer("s3cret\r")
        end(asking.terminal)
        const { code, shown } = await asking.terminal.ended("manju: no password was given; nothing has changed\r\n")
        expect(code).toBe(1)
        expect(shown).not.toContain("s3cret")
        expect(existsSync(asking.path)).toBe(false)
        expect(await asking.terminal.settings()).toBe(before)
      })
})

test("the terminal is as it was after it has gone well, too", async () => {
  using asking = new Asking()
  const before = await asking.terminal.settings()
  await asking.start()
  await asking.answer("pass\r")
  asking.terminal.press("pass\r")
  expect((await asking.terminal.ended("added ada")).code).toBe(0)
  expect(await asking.terminal.settings()).toBe(before)
})

/** A file that is changed as a whole: what stays, who waits for whom, and that it is the old one or the new one at any time. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { basename, dirname, join } from "node:path"
import { replaceFile } from "../../src/cli/replace-file.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { manjuCommand } from "../support/command.ts"
import { faults, Strace } from "../support/strace.ts"
import { Terminal } from "../support/terminal.ts"

setDefaultTimeout(60_000)

/** A file in a folder of its own, not there yet. */
function place() {
  const folder = temporaryFolder()
  const path = join(realpathSync(folder.path), "users.txt")
  return {
    path,
    beside: `${path}.new`,
    others: () => readdirSync(folder.path).filter((name) => name !== basename(path)),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const append =
  (line: string) =>
  (text = "") =>
    `${text}${line}\n`
/** Somebody else's, as far as this test may make it so. */
const STRANGER = { uid: 12_345, gid: 54_321 }

describe("a file that is replaced", () => {
  test("is made where there is none, for its owner only", async () => {
    using file = place()
    await replaceFile(file.path, (text) => `${text}`)
    expect([readFileSync(file.path, "utf8"), statSync(file.path).mode & 0o7777]).toEqual(["undefined", 0o600])
    expect(file.others()).toEqual([])
  })

  test("keeps its mode and its owner", async () => {
    using file = place()
    writeFileSync(file.path, "old\n")
    if (process.getuid!() === 0) chownSync(file.path, STRANGER.uid, STRANGER.gid)
    chmodSync(file.path, 0o664)
    const { uid, gid, ino } = statSync(file.path)
    await replaceFile(file.path, append("new"))
    expect(readFileSync(file.path, "utf8")).toBe("old\nnew\n")
    expect(statSync(file.path)).toMatchObject({ uid, gid, mode: 0o100664 })
    expect(statSync(file.path).ino).not.toBe(ino)
  })

  test("is the one that a link leads to; the link stays", async () => {
    using file = place()
    using elsewhere = place()
    writeFileSync(elsewhere.path, "old\n")
    symlinkSync(elsewhere.path, file.path)
    await replaceFile(file.path, append("new"))
    expect(lstatSync(file.path).isSymbolicLink()).toBe(true)
    expect(readFileSync(elsewhere.path, "utf8")).toBe("old\nnew\n")
    expect([file.others(), elsewhere.others()]).toEqual([[], []])
  })

  test("stays as it was when the edit throws", async () => {
    using file = place()
    writeFileSync(file.path, "old\n")
    const refuse = () => {
      throw new Error("not like this")
    }
    await expect(replaceFile(file.path, refuse)).rejects.toThrow(new Error("not like this"))
    expect([readFileSync(file.path, "utf8"), file.others()]).toEqual(["old\n", []])
  })
})

describe("two that change a file at the same time", () => {
  test("wait for each other, and neither's change is lost", async () => {
    using file = place()
    const lines = Array.from({ length: 10 }, (_, index) => `line ${index}`)
    await Promise.all(lines.map((line) => replaceFile(file.path, append(line))))
    expect(readFileSync(file.path, "utf8").trimEnd().split("\n").sort()).toEqual(lines.sort())
    expect(file.others()).toEqual([])
  })

  test("see what the other has left", async () => {
    using file = place()
    writeFileSync(file.beside, "at work")
    let isReplaced = false
    const replaced = replaceFile(file.path, append("second")).then(() => (isReplaced = true))
    writeFileSync(file.path, "first\n")
    expect(isReplaced).toBe(false)
    unlinkSync(file.beside)
    await replaced
    expect(readFileSync(file.path, "utf8")).toBe("first\nsecond\n")
  })

  test("do not wait for ever: the one that was cut off is named, and left for a person to look at", async () => {
    using file = place()
    writeFileSync(file.path, "old\n")
    writeFileSync(file.beside, "cut o")
    const message = `${file.beside} is in the way: another change is at work, or one was cut off; then remove it`
    await expect(replaceFile(file.path, append("new"), 100)).rejects.toThrow(message)
    expect([readFileSync(file.path, "utf8"), readFileSync(file.beside, "utf8")]).toEqual(["old\n", "cut o"])
  })
})

describe("the system is asked", () => {
  const renames = ["?rename", "?renameat", "?renameat2"]
  const writes = ["write", "pwrite64", "writev"]

  /** `manju passwd add`, watched from when it asks for the password: then all its threads are there. */
  async function addWatched(path: string, fault?: string) {
    using terminal = new Terminal()
    terminal.run(manjuCommand("passwd", "add", path, "ada"))
    await terminal.shows("Password for ada: ")
    await using strace = await Strace.process(terminal.pid, [...writes, ...renames, "fsync", "fdatasync"], fault)
    terminal.press("ada's\rada's\r")
    const { code, shown } = await terminal.ended(path)
    const moments = await strace.detach()
    return { code, shown, calls: moments.filter(({ isEnd }) => !isEnd).map(({ call }) => call) }
  }

  test("to make the new file durable before it takes the old one's name, and the name afterwards", async () => {
    using file = place()
    writeFileSync(file.path, "# mine\n")
    const { code, calls } = await addWatched(file.path)
    expect(code).toBe(0)
    const folder = dirname(file.path)
    const asked = calls
      .filter(({ name, file: on }) => name.startsWith("rename") || on === file.beside || on === folder)
      .map(({ name, file: on }) => (name.startsWith("rename") ? "rename" : `${name} ${basename(on)}`))
    const isWrite = (call: string) => /^p?write/.test(call)
    expect(asked.filter((call) => !isWrite(call))).toEqual([
      "fsync users.txt.new",
      "rename",
      `fsync ${basename(folder)}`,
    ])
    expect(asked.findLastIndex(isWrite)).toBe(asked.indexOf("fsync users.txt.new") - 1)
  })

  const accidents: [what: string, fault: string, reason: RegExp][] = [
    ["a disk that is full", faults.fail(["fsync"], "ENOSPC"), /the disk is full/],
    ["a disk that fails", faults.fail(["fsync"], "EIO"), /EIO/],
    ["a name that cannot be given", faults.fail(renames, "EROFS"), /the file system is read-only/],
  ]
  for (const [what, fault, reason] of accidents)
    test(`and ${what} leaves the old file, and nothing beside it`, async () => {
      using file = place()
      writeFileSync(file.path, "# mine\n")
      const { code, shown } = await addWatched(file.path, fault)
      expect(shown).toMatch(/\r\nmanju: cannot write [^\n]+\n$/)
      expect(shown).toMatch(reason)
      expect([code, readFileSync(file.path, "utf8"), file.others()]).toEqual([1, "# mine\n", []])
    })
})

/** The files of an auth: what reading one says when it fails, and that a bad new one changes nothing. */
import { describe, expect, test } from "bun:test"
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { FileError, followFile, readText } from "../../src/auth/text-file.ts"
import { eventually } from "../listeners/socket.ts"
import { FakeAuthContext } from "../support/auth-context.ts"
import { temporaryFolder } from "../support/broker-process.ts"

/** A file of a number: it has to be one, and a folder that goes with the test. */
class NumberFile {
  readonly context = new FakeAuthContext()
  readonly taken: number[] = []
  private readonly folder = temporaryFolder()
  readonly path = join(this.folder.path, "number.txt")

  constructor(text: string) {
    this.write(text)
  }

  write(text: string | Uint8Array): void {
    writeFileSync(this.path, text)
  }

  follow(): Promise<() => void> {
    return followFile(this.path, this.context, (text) => {
      const number = Number(text)
      if (Number.isNaN(number)) throw new FileError(this.path, 1, "not a number")
      this.taken.push(number)
    })
  }

  /** The file has changed; waits until that has been noticed, which `isNoticed` tells. */
  async touch(isNoticed: () => boolean): Promise<void> {
    this.context.touch(this.path)
    await eventually(isNoticed, "the file to be read again")
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

describe("reading a file", () => {
  test("gives its text, without a byte order mark", async () => {
    using file = new NumberFile("")
    for (const text of ["", "\n", "ä€😀\r\nb", "a\ufeff\ufffd"]) {
      file.write(text)
      expect(await readText(file.path)).toBe(text)
      file.write(`\ufeff${text}`)
      expect(await readText(file.path)).toBe(text)
    }
  })

  test("that is missing, or a folder, says so in one line", async () => {
    using file = new NumberFile("")
    rmSync(file.path)
    await expect(readText(file.path)).rejects.toThrow(new FileError(file.path, undefined, "there is no such file"))
    mkdirSync(file.path)
    await expect(readText(file.path)).rejects.toThrow(new FileError(file.path, undefined, "is a folder"))
  })

  test("that may not be read says so, or reads it as the superuser", async () => {
    using file = new NumberFile("7")
    chmodSync(file.path, 0)
    const problem = `${file.path}: no permission to read it`
    const outcome = await readText(file.path).catch((error: Error) => error.message)
    expect(outcome).toBe(process.getuid!() === 0 ? "7" : problem)
  })

  const invalid: [what: string, bytes: Buffer, line: number][] = [
    ["a byte of Latin-1", Buffer.from("a\nb\nj\xfcrgen\nc\n", "latin1"), 3],
    ["a sequence that the end of the line cuts", Buffer.from("a\nb\xe2\x82\nc\n", "latin1"), 2],
    ["a sequence that the end of the file cuts", Buffer.from("\ufffd\nb\n\u20ac", "utf8").subarray(0, -1), 3],
    ["half a surrogate pair", Buffer.from("\xed\xa0\x80", "latin1"), 1],
  ]
  for (const [what, bytes, line] of invalid)
    test(`that is not UTF-8 names the line: ${what}`, async () => {
      using file = new NumberFile("")
      file.write(bytes)
      await expect(readText(file.path)).rejects.toThrow(new FileError(file.path, line, "not UTF-8"))
    })
})

describe("following a file", () => {
  test("takes what it says now, and again whenever it has changed", async () => {
    using file = new NumberFile("1")
    await file.follow()
    expect([file.taken, file.context.watched]).toEqual([[1], [file.path]])
    file.write("2")
    await file.touch(() => file.taken.length === 2)
    expect([file.taken, file.context.logged]).toEqual([[1, 2], [`info: ${file.path}: read again`]])
  })

  test("rejects when the first reading fails, and watches nothing", async () => {
    using file = new NumberFile("one")
    await expect(file.follow()).rejects.toThrow(`${file.path}:1: not a number`)
    rmSync(file.path)
    await expect(file.follow()).rejects.toThrow(`${file.path}: there is no such file`)
    expect([file.taken, file.context.watched]).toEqual([[], []])
  })

  test("logs each later reading, once, as an error if it fails, and takes the next that does not", async () => {
    using file = new NumberFile("1")
    await file.follow()
    const { logged } = file.context
    file.write("two")
    await file.touch(() => logged.length === 1)
    rmSync(file.path)
    await file.touch(() => logged.length === 2)
    expect(logged).toEqual([
      `error: ${file.path}:1: not a number; what it said before stays in force`,
      `error: ${file.path}: there is no such file; what it said before stays in force`,
    ])
    file.write("3")
    await file.touch(() => file.taken.length === 2)
    expect([file.taken, logged.slice(2)]).toEqual([[1, 3], [`info: ${file.path}: read again`]])
  })

  test("takes what two changes in a row have led to, once", async () => {
    using file = new NumberFile("1")
    await file.follow()
    file.write("2")
    file.context.touch(file.path)
    file.context.touch(file.path)
    await eventually(() => file.taken.length === 2, "the file to be read again")
    file.write("3")
    await file.touch(() => file.taken.includes(3))
    expect(file.taken).toEqual([1, 2, 3])
  })

  test("stops when it is told to, even while it reads", async () => {
    using file = new NumberFile("1")
    const stop = await file.follow()
    using other = new NumberFile("1")
    await other.follow()
    file.write("2")
    file.context.touch(file.path)
    stop()
    other.write("2")
    await other.touch(() => other.taken.length === 2) // by then the first has been read too
    await other.touch(() => other.taken.length === 3)
    expect([file.taken, file.context.watched, file.context.logged]).toEqual([[1], [], []])
  })
})

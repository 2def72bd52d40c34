/** Files that are watched: who is told of what, how often, and what it costs when nobody watches. Real files, a clock of the test's. */
import { afterEach, beforeEach, describe, expect, type Mock, spyOn, test } from "bun:test"
import {
  mkdirSync,
  mkdtempSync,
  promises,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FileWatch } from "../../src/broker/watch.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { microtasks } from "../support/store.ts"

let folder: string
let path: string
/** The looks at files. */
let stat: Mock<typeof promises.stat>

beforeEach(() => {
  stat = spyOn(promises, "stat")
  folder = mkdtempSync(join(tmpdir(), "manju-watch-"))
  path = join(folder, "users.txt")
  writeFileSync(path, "one")
})

afterEach(() => {
  stat.mockRestore()
  rmSync(folder, { recursive: true })
})

/** Somebody who watches the file, and how often it has been told since the last time it was asked. */
function watching(watched = path) {
  const clock = new ManualClock()
  const files = new FileWatch(clock)
  let count = 0
  const stop = files.watch(watched, () => void count++)
  /** Lets so much time pass that the file is looked at twice; resolves with how often its watcher has been told. */
  const look = async () => {
    for (let looks = 0; looks < 2; looks++) {
      clock.advance(1)
      await Promise.allSettled(stat.mock.results.map(({ value }) => value))
      await microtasks()
    }
    return told()
  }
  const told = () => {
    const before = count
    count = 0
    return before
  }
  return { clock, files, stop, look, told }
}

/** A file that looks like the last one in everything but its content. */
function write(to: string, text: string): void {
  writeFileSync(to, text)
  utimesSync(to, 1_700_000_000, 1_700_000_000)
}

describe("a change is told once", () => {
  const changes: [name: string, change: () => void][] = [
    ["another content", () => writeFileSync(path, "another")],
    ["another content, as long and as old as the last", () => rewrite("two")],
    ["another time", () => utimesSync(path, 1, 1)],
    ["a rename over it", () => renameSync(newFile("two"), path)],
    ["a rename over it, of a file as long and as old", () => renameSync(newFile("two", write), path)],
    ["an end", () => rmSync(path)],
  ]
  /** File systems tell times apart only every few milliseconds: until it can be seen. */
  function rewrite(text: string): void {
    const { ctimeNs } = statSync(path, { bigint: true })
    while (statSync(path, { bigint: true }).ctimeNs === ctimeNs) write(path, text)
  }
  function newFile(text: string, create: (to: string, text: string) => void = writeFileSync): string {
    create(join(folder, "new"), text)
    return join(folder, "new")
  }
  for (const [name, change] of changes)
    test(name, async () => {
      write(path, "one")
      const { look } = watching()
      expect(await look()).toBe(0)
      change()
      expect([await look(), await look(), await look()]).toEqual([1, 0, 0])
    })
  test("a link that points elsewhere, and one behind it", async () => {
    for (const version of ["1", "2"]) {
      mkdirSync(join(folder, version))
      write(join(folder, version, "users.txt"), version)
    }
    const current = join(folder, "current")
    const link = join(folder, "link")
    symlinkSync("1", current)
    symlinkSync("current/users.txt", link)
    const { look } = watching(link)
    expect(await look()).toBe(0)
    symlinkSync("2", join(folder, "next"))
    renameSync(join(folder, "next"), current) // as secret mounts do it
    expect([await look(), await look()]).toEqual([1, 0])
    rmSync(link)
    symlinkSync("1/users.txt", link)
    expect([await look(), await look()]).toEqual([1, 0])
    writeFileSync(join(folder, "1", "users.txt"), "another")
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("gone, and back again, each for itself", async () => {
    const { look } = watching()
    rmSync(path)
    expect([await look(), await look()]).toEqual([1, 0])
    writeFileSync(path, "one")
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("a file that was not there when it was first watched", async () => {
    rmSync(path)
    const { look } = watching()
    expect(await look()).toBe(0)
    writeFileSync(path, "one")
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("a folder on the way that comes and goes", async () => {
    const { look } = watching(join(folder, "mount", "users.txt"))
    expect(await look()).toBe(0)
    mkdirSync(join(folder, "mount"))
    expect(await look()).toBe(0)
    writeFileSync(join(folder, "mount", "users.txt"), "one")
    expect(await look()).toBe(1)
    rmSync(join(folder, "mount"), { recursive: true })
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("right after the file has been watched, before anybody has had time to look", async () => {
    const { look } = watching()
    writeFileSync(path, "changed in the same turn")
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("not before it has come to rest: who writes a file in place empties it first", async () => {
    const { clock, told } = watching()
    for (const text of ["", "two", "two, three"]) {
      writeFileSync(path, text)
      clock.advance(1)
      await Promise.allSettled(stat.mock.results.map(({ value }) => value))
      await microtasks()
      expect(told()).toBe(0)
    }
    clock.advance(1)
    await Promise.allSettled(stat.mock.results.map(({ value }) => value))
    await microtasks()
    expect(told()).toBe(1)
  })
  test("several between two looks are one", async () => {
    const { look } = watching()
    for (const text of ["two", "three", "four"]) writeFileSync(path, text)
    expect([await look(), await look()]).toEqual([1, 0])
  })
  test("not told is what does not change", async () => {
    const { look } = watching()
    for (let i = 0; i < 5; i++) expect(await look()).toBe(0)
    writeFileSync(join(folder, "other.txt"), "another file beside it")
    expect(await look()).toBe(0)
  })
})

describe("a disk that takes its time", () => {
  test("is not asked again before it has answered; nothing is told twice", async () => {
    const { clock, look } = watching()
    const { promise, resolve } = Promise.withResolvers<void>()
    const slow = await promises.stat(path, { bigint: true })
    stat.mockImplementationOnce((() => promise.then(() => slow)) as unknown as typeof promises.stat)
    writeFileSync(path, "another")
    stat.mockClear()
    clock.advance(10)
    expect(stat).toHaveBeenCalledTimes(1)
    resolve() // with what was there before
    expect(await look()).toBe(0)
    expect([await look(), await look()]).toEqual([1, 0])
  })
})

describe("who watches", () => {
  test("is told of its own file only, everybody who watches that one, until it stops", async () => {
    const { files, look, stop } = watching()
    const other = join(folder, "other.txt")
    writeFileSync(other, "one")
    const calls: string[] = []
    files.watch(path, () => calls.push("same"))
    const stopOther = files.watch(other, () => calls.push("other"))
    writeFileSync(path, "another")
    expect([await look(), calls.splice(0)]).toEqual([1, ["same"]])
    writeFileSync(other, "another")
    expect([await look(), calls.splice(0)]).toEqual([0, ["other"]])
    stop()
    stopOther()
    writeFileSync(path, "yet another")
    writeFileSync(other, "yet another")
    expect([await look(), calls.splice(0)]).toEqual([0, ["same"]])
  })
  test("and stops while its file is looked at is not told", async () => {
    const { clock, stop, look } = watching()
    writeFileSync(path, "another")
    clock.advance(2)
    stop()
    expect(await look()).toBe(0)
  })
  test("nobody: there is no clock and no looking", async () => {
    const clock = new ManualClock()
    const files = new FileWatch(clock)
    expect(clock.recurringCount).toBe(0)
    const stops = [path, path, join(folder, "other.txt")].map((each) => files.watch(each, () => {}))
    expect(clock.recurringCount).toBe(1)
    for (const [left, stop] of [...stops.entries()].reverse()) {
      stop()
      stop() // which is as good as once
      expect(clock.recurringCount).toBe(left === 0 ? 0 : 1)
    }
    stat.mockClear()
    clock.advance(60)
    expect(stat).not.toHaveBeenCalled()
    const again = files.watch(path, () => {})
    stops[0]!() // somebody else's, and long over
    expect(clock.recurringCount).toBe(1)
    again()
    expect(clock.recurringCount).toBe(0)
  })
})

describe("touch", () => {
  test("tells everybody at once, whatever their files look like", async () => {
    const { files, look, told } = watching()
    let missing = 0
    files.watch(join(folder, "missing"), () => void missing++)
    files.touch()
    expect([told(), missing]).toEqual([1, 1])
    expect([await look(), missing]).toEqual([0, 1])
  })
  test("nobody who has stopped, be it because another one was told", () => {
    const { files, stop, told } = watching()
    const calls: string[] = []
    files.watch(path, () => {
      calls.push("first")
      stopSecond()
      files.watch(path, () => calls.push("new"))
    })
    const stopSecond = files.watch(path, () => calls.push("second"))
    stop()
    files.touch()
    expect([told(), calls]).toEqual([0, ["first"]])
  })
})

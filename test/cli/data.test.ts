/** `manju check` and `manju backup` as processes: what they say of a database, in use or not, and that it stays as it is. */

import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { StoreDatabase } from "../../src/store/sqlite/database.ts"
import { migrations } from "../../src/store/sqlite/migrations.ts"
import { RawClient } from "../listeners/socket.ts"
import { contents } from "../store/sqlite/versions/contents.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { manju } from "../support/command.ts"
import { filesIn, makeDatabase, runSql } from "../support/database.ts"
import { durable } from "../support/harness.ts"
import { contentsOf } from "../support/stored.ts"

setDefaultTimeout(60_000)

const ENOUGH_MESSAGES = 200

/** What `check` says of a database. */
const report = (path: string, counts: readonly number[]) => {
  const names = [
    ["session", "sessions"],
    ["subscription", "subscriptions"],
    ["message that waits", "messages that wait"],
    ["message in flight", "messages in flight"],
    ["retained message", "retained messages"],
    ["byte of payload", "bytes of payload"],
  ]
  const lines = names.map(
    (name, index) => `${String(counts[index]).padStart(12)} ${name[counts[index] === 1 ? 0 : 1]}\n`,
  )
  return `${path} can be read. It holds:\n${lines.join("")}`
}
const reported = (path: string, counts: readonly number[]) => ({ code: 0, out: report(path, counts), err: "" })
/** Of what a fixture was given. */
const fixtureCounts = [4, 4, 5, 3, 2, 9]

async function read(path: string) {
  const database = new StoreDatabase(path, "power")
  const found = await contentsOf(database)
  database.close()
  return found
}

/** Publishes numbers, one after the other, for a session that is away, until it is told to stop. */
class Writer {
  /** How many have been acknowledged, and how many have been sent. */
  acknowledged = 0
  sent = 0
  private isStopped = false
  private readonly client: RawClient
  private readonly writing: Promise<void>

  private constructor(client: RawClient) {
    this.client = client
    this.writing = this.write()
  }

  static async start(port: number): Promise<Writer> {
    const reader = await RawClient.connect(port, "reader", 5, durable())
    await reader.subscribe("t", 1)
    reader.end()
    await reader.until(() => reader.hasClosed, "the end")
    return new Writer(await RawClient.connect(port, "writer", 4))
  }

  /** Waits until so many more are acknowledged. */
  until(count: number): Promise<void> {
    const goal = this.acknowledged + count
    return this.client.until(() => this.acknowledged >= goal, `${goal} acknowledgements`)
  }

  /** Resolves when the last one is acknowledged. */
  stop(): Promise<void> {
    this.isStopped = true
    return this.writing
  }

  private async write(): Promise<void> {
    while (!this.isStopped) {
      const messageId = (this.sent % 60_000) + 1
      this.client.publish("t", String(this.sent++), { qos: 1, messageId, retain: true })
      await this.client.next("puback")
      this.acknowledged++
    }
  }
}

describe("manju check", () => {
  test("says what a database holds, and leaves it as it was", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    makeDatabase(path, 1)
    const before = filesIn(folder.path)
    expect(await manju("check", "--data", path)).toEqual(reported(path, fixtureCounts))
    expect(filesIn(folder.path)).toEqual(before)
  })

  test("an empty one holds nothing", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    new StoreDatabase(path, "power").close()
    expect(await manju("check", "--data", path)).toEqual(reported(path, [0, 0, 0, 0, 0, 0]))
  })

  test("counts what a broker has stored so far, while it goes on", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    await using broker = await BrokerProcess.start("--data", path)
    const writer = await Writer.start(broker.port)
    await writer.until(ENOUGH_MESSAGES)
    const { acknowledged } = writer
    const { code, out, err } = await manju("check", "--data", path)
    const { sent } = writer
    expect([code, err]).toEqual([0, ""])
    const [sessions, subscriptions, waiting, inflight, retained] = Array.from(
      out.matchAll(/^ +(\d+)/gm),
      ([, n]) => +n!,
    )
    expect([sessions, subscriptions, inflight, retained]).toEqual([1, 1, 0, 1])
    expect(waiting).toBeGreaterThanOrEqual(acknowledged)
    expect(waiting).toBeLessThanOrEqual(sent)
    await writer.until(ENOUGH_MESSAGES)
    await writer.stop()
  })

  test("after a kill -9 counts what is in the log alone, and leaves log and database as they were", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    await using broker = await BrokerProcess.start("--data", path)
    const writer = await Writer.start(broker.port)
    await writer.until(ENOUGH_MESSAGES)
    await writer.stop()
    await broker.kill()
    const before = filesIn(folder.path)
    expect(before["manju.db-wal"]!.length).toBeGreaterThan(0)
    const { sent } = writer
    const bytes = Array.from({ length: sent }, (_, i) => String(i).length).reduce((sum, length) => sum + length, 0)
    expect(await manju("check", "--data", path)).toEqual(reported(path, [1, 1, sent, 0, 1, bytes]))
    expect(filesIn(folder.path)).toEqual(before)
    await using next = await BrokerProcess.start("--data", path)
    const reader = await RawClient.open(next.port)
    reader.sendConnect("reader", durable())
    expect(await reader.next("connack")).toMatchObject({ reasonCode: 0, sessionPresent: true })
  })
})

describe("manju backup", () => {
  test("copies a database, and leaves it as it was", async () => {
    using folder = temporaryFolder()
    const [path, to] = [join(folder.path, "manju.db"), join(folder.path, "copy ü.db")]
    makeDatabase(path, 1)
    const before = filesIn(folder.path)
    expect(await manju("backup", "--data", path, "--to", to)).toEqual({
      code: 0,
      out: `${path} copied to ${to}\n`,
      err: "",
    })
    const { "copy ü.db": copy, ...rest } = filesIn(folder.path)
    expect(rest).toEqual(before)
    expect(copy!.length).toBeGreaterThan(0)
    expect(await manju("check", "--data", to)).toEqual(reported(to, fixtureCounts))
    expect(await read(to)).toEqual(await read(path))
  })

  test("while a broker writes: what was acknowledged before is in it, in order and whole", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    await using broker = await BrokerProcess.start("--data", path)
    const writer = await Writer.start(broker.port)
    const bounds: [least: number, most: number][] = []
    for (const name of ["first.db", "second.db"]) {
      await writer.until(ENOUGH_MESSAGES)
      const { acknowledged } = writer
      expect((await manju("backup", "--data", path, "--to", join(folder.path, name))).code).toBe(0)
      bounds.push([acknowledged, writer.sent])
    }
    await writer.stop()
    for (const [index, name] of ["first.db", "second.db"].entries()) {
      const database = new StoreDatabase(join(folder.path, name), "power")
      const waiting = database.page("reader", 0, 1_000_000)
      const retained = [...database.load()].filter((item) => item.kind === "retained")
      database.close()
      const [least, most] = bounds[index]!
      expect(waiting.length).toBeGreaterThanOrEqual(least)
      expect(waiting.length).toBeLessThanOrEqual(most)
      const payloads = waiting.map(({ message }) => String(Buffer.from(message!.payload)))
      expect(payloads).toEqual(payloads.map((_, i) => String(i)))
      expect(retained.map(({ message }) => String(Buffer.from(message.payload)))).toEqual([payloads.at(-1)!])
    }

    await using restored = await BrokerProcess.start("--data", join(folder.path, "first.db"))
    const reader = await RawClient.open(restored.port)
    reader.sendConnect("reader", durable())
    expect(await reader.next("connack")).toMatchObject({ sessionPresent: true })
    expect(String((await reader.next("publish")).payload)).toBe("0")
  })

  test("of what a kill -9 left holds what is in the log alone", async () => {
    using folder = temporaryFolder()
    const [path, to] = [join(folder.path, "manju.db"), join(folder.path, "copy.db")]
    const database = new StoreDatabase(path, "power")
    database.commit(contents[0]!)
    const before = filesIn(folder.path)
    expect((await manju("backup", "--data", path, "--to", to)).code).toBe(0)
    const { "copy.db": _, ...rest } = filesIn(folder.path)
    expect(rest).toEqual(before)
    expect(await read(to)).toEqual(await contentsOf(database))
    database.close()
  })

  test("--to a file that is there is refused, and the file left alone", async () => {
    using folder = temporaryFolder()
    const [path, to] = [join(folder.path, "manju.db"), join(folder.path, "notes.txt")]
    makeDatabase(path, 1)
    writeFileSync(to, "# my notes\n")
    const before = filesIn(folder.path)
    const refused = { code: 2, out: "", err: `manju: --to ${to} is there already\n` }
    expect(await manju("backup", "--data", path, "--to", to)).toEqual(refused)
    expect(await manju("backup", "--data", path, "--to", path)).toMatchObject({ code: 2, out: "" })
    expect(filesIn(folder.path)).toEqual(before)
  })

  test("--to a folder that is missing fails with exit code 1, in one line, and makes nothing", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    makeDatabase(path, 1)
    const { code, out, err } = await manju("backup", "--data", path, "--to", join(folder.path, "missing", "copy.db"))
    expect([code, out]).toEqual([1, ""])
    expect(err).toMatch(/^manju: [^\n]+\n$/)
    expect(existsSync(join(folder.path, "missing"))).toBe(false)
  })
})

describe("a mistake is one line and an exit code", () => {
  const commands: Record<string, (path: string, folder: string) => string[]> = {
    check: (path) => ["check", "--data", path],
    backup: (path, folder) => ["backup", "--data", path, "--to", join(folder, "copy.db")],
  }
  const newer = migrations.length + 1
  const table: [what: string, make: (path: string) => void, code: number, message: (path: string) => string][] = [
    ["a missing file", () => {}, 2, (path) => `--data ${path} does not exist`],
    [
      "a file of something else",
      (path) => writeFileSync(path, "# my notes\n"),
      1,
      (path) => `${path} is not a database that can be read: file is not a database`,
    ],
    [
      "a database that ends within its header",
      (path) => {
        makeDatabase(path, 1)
        writeFileSync(path, readFileSync(path).subarray(0, 60))
      },
      1,
      (path) => `${path} is not a database that can be read: database disk image is malformed`,
    ],
    [
      "another program's database",
      (path) => runSql(path, "CREATE TABLE notes (line)"),
      1,
      (path) => `${path} is a database, but not one of manju's`,
    ],
    [
      "a database of a newer manju",
      (path) => {
        makeDatabase(path, 1, `PRAGMA user_version = ${newer}`)
      },
      1,
      (path) =>
        `${path} was written by a newer manju (version ${newer} of the database, this one knows ${migrations.length})`,
    ],
  ]
  for (const [command, argumentsOf] of Object.entries(commands))
    for (const [what, prepare, code, message] of table)
      test(`${command}: ${what}`, async () => {
        using folder = temporaryFolder()
        const path = join(folder.path, "manju.db")
        prepare(path)
        const before = filesIn(folder.path)
        expect(await manju(...argumentsOf(path, folder.path))).toEqual({
          code,
          out: "",
          err: `manju: ${message(path)}\n`,
        })
        expect(filesIn(folder.path)).toEqual(before)
        expect(existsSync(join(folder.path, "copy.db"))).toBe(false)
      })

  for (const command of Object.keys(commands))
    test(`${command}: a folder`, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.db")
      mkdirSync(path)
      const { code, out, err } = await manju(...commands[command]!(path, folder.path))
      expect([code, out]).toEqual([1, ""])
      expect(err).toMatch(/^manju: [^\n]+\n$/)
    })

  const usage: [args: string[], message: string][] = [
    [["backup", "--data", "x"], "required option '--to <file>' not specified"],
    [["check", "--data", "x", "y"], "too many arguments for 'check'. Expected 0 arguments but got 1: y."],
  ]
  for (const [args, message] of usage)
    test(`manju ${args.join(" ")}`, async () => {
      expect(await manju(...args)).toEqual({ code: 2, out: "", err: `manju: ${message}\n` })
    })
})

import { describe, expect, test } from "bun:test"
import { Writable } from "node:stream"
import { Output } from "../../src/cli/output.ts"

/** Something that is written to and takes the next piece only when it is told to. */
class Reader {
  readonly pieces: string[] = []
  private readonly waiting: (() => void)[] = []
  readonly stream = new Writable({
    write: (chunk, _encoding, done) => {
      this.pieces.push(String(chunk))
      this.waiting.push(done)
    },
  })

  take(): void {
    this.waiting.shift()!()
  }
}

const isDone = async (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise<false>((resolve) => setImmediate(() => resolve(false)))])
const turn = () => new Promise((resolve) => setImmediate(resolve))
const outputTo = ({ stream }: Reader) => new Output(stream as never)

describe("standard output", () => {
  test("writes once what comes within a turn", async () => {
    const reader = new Reader()
    const output = outputTo(reader)
    for (const text of ["a", "b", "c"]) expect(output.write(Buffer.from(text))).toBeUndefined()
    expect(reader.pieces).toEqual([])
    await turn()
    expect(reader.pieces).toEqual(["abc"])
  })

  test("makes the messages wait when its reader takes nothing, until it does", async () => {
    const reader = new Reader()
    const output = outputTo(reader)
    void output.write(Buffer.from("first"))
    await turn()
    const block = Buffer.alloc(200 * 1024, "x")
    expect(output.write(block)).toBeUndefined()
    const room = output.write(block)!
    expect(await isDone(room)).toBe(false)
    reader.take()
    await turn()
    expect(await isDone(room)).toBe(false)
    reader.take()
    await room
    expect(reader.pieces.map((piece) => piece.length)).toEqual([5, 400 * 1024])
  })

  test("is drained when everything is written, also what is being written already", async () => {
    const reader = new Reader()
    const output = outputTo(reader)
    await output.drain()
    void output.write(Buffer.from("a"))
    await turn()
    const drained = output.drain()
    expect(await isDone(drained)).toBe(false)
    reader.take()
    expect(await drained).toBe(true)
  })

  test("is closed when its reader is gone", async () => {
    const reader = new Reader()
    const output = outputTo(reader)
    reader.stream.destroy(Object.assign(new Error("broken pipe"), { code: "EPIPE" }))
    await output.closed
  })

  test("says why it cannot be written to", async () => {
    const reader = new Reader()
    const output = outputTo(reader)
    reader.stream.destroy(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }))
    await expect(output.closed).rejects.toThrow("cannot write to standard output: no space left on device")
  })

  test("says of what it could not write that it is not written, and of what came behind", async () => {
    const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
    const output = new Output(new Writable({ write: (_chunk, _encoding, done) => done(full) }) as never)
    void output.write(Buffer.from("a"))
    expect(await output.drain()).toBe(false)
    await expect(output.closed).rejects.toThrow("cannot write to standard output: no space left on device")
    void output.write(Buffer.from("b"))
    expect(await output.drain()).toBe(false)
  })
})

import { describe, expect, test } from "bun:test"
import { linesOf } from "../../../src/cli/client/lines.ts"

async function linesFrom(chunks: Iterable<Uint8Array>): Promise<string[]> {
  async function* stream() {
    yield* chunks
  }
  return (await Array.fromAsync(linesOf(stream()))).map((line) => line.toString("latin1"))
}

describe("a stream's lines", () => {
  const cases: [what: string, text: string, lines: string[]][] = [
    ["end with a line feed", "a\nb\n", ["a", "b"]],
    ["the last one perhaps not", "a\nb", ["a", "b"]],
    ["may be empty", "\n\na\n\n", ["", "", "a", ""]],
    ["are none of an empty stream", "", []],
    ["keep every other byte", "a\r\n\0\xff\u2028\n", ["a\r", "\0\xff\u2028"]],
  ]
  for (const [what, text, lines] of cases)
    test(`${what}, in one chunk and byte by byte`, async () => {
      const bytes = Buffer.from(text, text.includes("\u2028") ? "utf8" : "latin1")
      const expected = text.includes("\u2028") ? lines.map((line) => Buffer.from(line).toString("latin1")) : lines
      expect(await linesFrom([bytes])).toEqual(expected)
      expect(await linesFrom(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(expected)
    })

  test("are read no sooner than they are asked for", async () => {
    let read = 0
    async function* stream() {
      for (; read < 10; read++) yield Buffer.from(`${read}\n`)
    }
    for await (const line of linesOf(stream())) if (String(line) === "2") break
    expect(read).toBe(2)
  })
})

/** Payloads as the dashboard shows them. */
import { describe, expect, test } from "bun:test"
import {
  bytesOf,
  hexLines,
  kindOf,
  numbersOf,
  type Payload,
  previewOf,
  visible,
} from "../../../src/http/dashboard/model/payload.ts"
import { showPayload } from "../../../src/http/payload.ts"

/** As the API sends it. */
const sent = (payload: string | number[], mostBytes?: number): Payload => {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : Buffer.from(payload)
  return showPayload(bytes.subarray(0, mostBytes), bytes.length)
}

describe("a payload is shown as what it is", () => {
  const kinds: [payload: string | number[], kind: string][] = [
    ["", "empty"],
    ["hello", "text"],
    ["21.5", "text"],
    ["äöü\n\tx", "text"],
    ['{"a":1}', "json"],
    [" [1, 2]\n", "json"],
    ["{a:1}", "text"],
    [[0xff, 0xfe], "binary"],
    [[0, 1, 2, 3, 4], "binary"], // UTF-8 by chance
  ]
  for (const [payload, kind] of kinds)
    test(JSON.stringify(payload), () => expect(kindOf(sent(payload))).toBe(kind as never))

  test("the beginning of JSON is JSON", () => {
    expect(kindOf(sent(JSON.stringify({ values: Array.from({ length: 100 }, (_, n) => n) }), 256))).toBe("json")
  })
})

describe("a payload that is a number has that number", () => {
  const numbers: [payload: string, number: number | undefined][] = [
    ["21.5", 21.5],
    [" -3\n", -3],
    ["+.5", 0.5],
    ["1e3", 1000],
    ["21.5 °C", 21.5],
    ["21.5°C", 21.5],
    ["80%", 80],
    ["12 km/h", 12],
    ["0x10", undefined],
    ["12:30", undefined],
    ["192.168.1.1", undefined],
    ["2026-01-01", undefined],
    ["on", undefined],
    ["", undefined],
  ]
  for (const [payload, number] of numbers) {
    test(JSON.stringify(payload), () => expect(numbersOf(sent(payload)).get("")).toBe(number as never))
  }

  test("in JSON there are those at their paths", () => {
    expect([...numbersOf(sent('{"t":1,"u":{"v":2}}'))]).toEqual([
      ["t", 1],
      ["u.v", 2],
    ])
  })

  test("in the beginning of one there is none: digits may be missing", () => {
    expect(numbersOf(sent("1234567", 3)).size).toBe(0)
  })
})

describe("in one line", () => {
  test("text is as it is, with single spaces", () => expect(previewOf(sent("a\n  b\tc"))).toBe("a b c"))
  test("what is long is cut off, between characters", () => {
    expect(previewOf(sent("abcdefghij"), 5)).toBe("abcd…")
    expect(previewOf(sent("abc😀def"), 5)).toBe("abc…")
  })
  test("what the broker has cut off says so", () => expect(previewOf(sent("abcdefghij", 5), 8)).toBe("abcde…"))
  test("bytes are hexadecimal", () => expect(previewOf(sent([0xff, 0x00, 0x1f]))).toBe("ff 00 1f"))
  test("nothing is nothing", () => expect(previewOf(sent(""))).toBe(""))
  test("characters that turn the text around are written out", () => {
    expect(previewOf(sent("a\u202eb\u001b[31m"))).toBe("a\\u{202e}b\\x1b[31m")
  })
})

test("text of several lines keeps its lines and tabs, and hides nothing else", () => {
  expect(visible("a\r\n\tb\u0000\u2028", true)).toBe("a\n\tb\\x00\\u{2028}")
  expect(visible("a\nb")).toBe("a\\x0ab")
})

describe("a hexadecimal dump", () => {
  test("has offsets, bytes and what of them is ASCII", () => {
    const bytes = Uint8Array.from({ length: 20 }, (_, n) => n + 0x3c)
    expect(hexLines(bytes)).toEqual([
      { offset: "0000", hex: "3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b", characters: "<=>?@ABCDEFGHIJK" },
      { offset: "0010", hex: "4c 4d 4e 4f", characters: "LMNO" },
    ])
    expect(hexLines(Uint8Array.of(0, 0x1f, 0x7f, 0xff), 2)).toEqual([
      { offset: "0000", hex: "00 1f", characters: ".." },
      { offset: "0002", hex: "7f ff", characters: ".." },
    ])
  })
  test("of a large payload ends after 16 KiB", () => expect(hexLines(new Uint8Array(1e6))).toHaveLength(1024))
  test("is of the bytes that were sent", () => {
    for (const bytes of [
      [0xff, 0, 128],
      [0xc3, 0xa4],
    ])
      expect([...bytesOf(sent(bytes))]).toEqual(bytes)
  })
})

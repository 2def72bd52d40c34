/** UTF-8 Encoded Strings: what is one, beside the platform's own decoder. MQTT 5 §1.5.4 */
import { describe, expect, test } from "bun:test"
import { classify, decodeText, isEncodable, Reader, Text } from "../../src/codec/index.ts"
import { hex, Random } from "../support/bytes.ts"

/** What the platform makes of the bytes, with MQTT's own rule on U+0000; undefined if they are no string. */
function reference(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
    return text.includes("\0") ? undefined : text
  } catch {
    return undefined
  }
}

function expectSame(bytes: Buffer): void {
  const text = reference(bytes)
  const isAscii = bytes.every((byte) => byte < 0x80)
  const expected = text === undefined ? Text.Invalid : isAscii ? Text.Ascii : Text.Unicode
  const around = Buffer.concat([hex("c3"), bytes, hex("a9")]) // what stands beside it must not matter
  if (classify(around, 1, around.length - 1) !== expected || decodeText(around, 1, around.length - 1) !== text) {
    expect({ bytes: bytes.toString("hex"), kind: classify(around, 1, around.length - 1) }).toEqual({
      bytes: bytes.toString("hex"),
      kind: expected,
    })
    expect(decodeText(around, 1, around.length - 1)).toBe(text)
  }
}

describe("[MQTT-1.5.4-1] [v3.1.1 MQTT-1.5.3-1] a string is well-formed UTF-8", () => {
  test("all of one and of two bytes", () => {
    const bytes = Buffer.alloc(2)
    for (let first = 0; first < 256; first++) {
      expectSame(Buffer.from([first]))
      for (let second = 0; second < 256; second++) {
        bytes[0] = first
        bytes[1] = second
        expectSame(bytes)
      }
    }
  })

  test("three and four bytes around every border", () => {
    const leads = [0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]
    const others = [0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff]
    for (const a of leads)
      for (const b of others)
        for (const c of others) {
          expectSame(Buffer.from([a, b, c]))
          for (const d of others) expectSame(Buffer.from([a, b, c, d]))
        }
  })

  test("the code points beside every border, alone and between others", () => {
    const borders = [0x1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10ffff]
    for (const codePoint of borders) {
      const text = String.fromCodePoint(codePoint)
      for (const each of [text, `a${text}b`, `é${text}`, text + text]) {
        const bytes = Buffer.from(each)
        expect(decodeText(bytes, 0, bytes.length)).toBe(each)
      }
    }
  })

  test("no surrogate, no overlong form, nothing above U+10FFFF, nothing cut short", () => {
    const illFormed = [
      "eda080",
      "edbfbf",
      "eda081edb080",
      "c080",
      "c1bf",
      "e08080",
      "e09fbf",
      "f0808080",
      "f08fbfbf",
      "f4908080",
      "f5808080",
      "f8888080 80",
      "fe",
      "ff",
      "80",
      "bf",
      "c3",
      "e282",
      "f09f98",
      "c328",
      "61c3",
    ]
    for (const each of illFormed) {
      const bytes = hex(each)
      expect([each, classify(bytes, 0, bytes.length)]).toEqual([each, Text.Invalid])
      expect(decodeText(bytes, 0, bytes.length)).toBeUndefined()
    }
  })

  test("random bytes, and random text with one byte changed", () => {
    const random = new Random(1)
    for (let i = 0; i < 20_000; i++) expectSame(random.bytes(random.below(12)))
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(random.text(random.between(1, 8)))
      expectSame(bytes)
      bytes[random.below(bytes.length)] = random.below(256)
      expectSame(bytes)
    }
  })
})

test("[MQTT-1.5.4-2] [v3.1.1 MQTT-1.5.3-2] a string holds no U+0000, wherever it stands", () => {
  for (const each of ["00", "6100", "0061", "c3a900", "c3a90061", "f09f988000"]) {
    const bytes = hex(each)
    expect([each, decodeText(bytes, 0, bytes.length)]).toEqual([each, undefined])
  }
})

test("[MQTT-1.5.4-3] [v3.1.1 MQTT-1.5.3-3] U+FEFF is a character like any other and stays", () => {
  const reader = new Reader().reset(hex("0007 efbbbf 61 efbbbf"), 0, 9)
  expect(reader.text()).toBe("\ufeffa\ufeff")
})

describe("a text that can be sent", () => {
  const table: [what: string, text: string, can: boolean][] = [
    ["empty", "", true],
    ["65,535 bytes", "x".repeat(65_535), true],
    ["65,536 bytes", "x".repeat(65_536), false],
    ["21,845 characters of three bytes", "€".repeat(21_845), true],
    ["21,846 characters of three bytes", "€".repeat(21_846), false],
    ["U+0000", "a\0", false],
    ["a lone surrogate", "a\ud800", false],
    ["the other half alone", "\udc00a", false],
    ["a pair", "\ud83d\ude00", true],
  ]
  for (const [what, text, can] of table) test(what, () => expect(isEncodable(text)).toBe(can))
})

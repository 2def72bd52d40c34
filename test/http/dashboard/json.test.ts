/** JSON as the topic explorer shows it. */
import { describe, expect, test } from "bun:test"
import { type JsonReading, readJson } from "../../../src/http/dashboard/model/json.ts"

function textOf(reading: JsonReading | undefined): string | undefined {
  return reading?.lines
    .map(({ depth, tokens }) => "  ".repeat(depth) + tokens.map(({ text }) => text).join(""))
    .join("\n")
}

describe("JSON is shown in lines, as JSON.stringify indents it", () => {
  const values: [what: string, value: unknown][] = [
    ["an object", { a: 1, b: { c: [1, 2, { d: null }], e: true } }],
    ["what is empty", { a: {}, b: [], c: [[], {}], d: "" }],
    ["characters that are escaped", { '"\\\n': "\u2028 é \ud83d\ude00 \t" }],
    ["numbers", [0, -1, 1.5, 1e21, -2.5e-7]],
    ["a value alone", "text"],
  ]
  for (const [what, value] of values) {
    test(what, () => {
      const pretty = JSON.stringify(value, null, 2)
      expect(textOf(readJson(JSON.stringify(value)))).toBe(pretty)
      expect(textOf(readJson(pretty))).toBe(pretty)
    })
  }

  test("a number that JavaScript cannot hold is shown as it was sent", () => {
    expect(textOf(readJson('{"id":12345678901234567890,"x":1.10}'))).toBe(
      '{\n  "id": 12345678901234567890,\n  "x": 1.10\n}',
    )
  })

  test("each part is of its kind", () => {
    const tokens = readJson('{"k":["s",1,true]}')!.lines.flatMap((line) => line.tokens)
    expect(tokens.map(({ part, text }) => `${part} ${text}`)).toEqual([
      ...["punctuation {", 'key "k"', "punctuation : ", "punctuation ["],
      ...['string "s"', "punctuation ,", "number 1", "punctuation ,", "literal true", "punctuation ]", "punctuation }"],
    ])
  })
})

describe("what is no JSON is none", () => {
  const texts = [
    ...["", " ", "{", "[1,", "[1,]", "{,}", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "[1 2]", "1 2", "[1]]", "]"],
    ...[
      '{"a":1 "b":2}',
      "01",
      "1.",
      ".5",
      "+1",
      "NaN",
      "'a'",
      '"a',
      '"\\x"',
      '"\n"',
      "truefalse",
      '{"a"::1}',
      "[:1]",
      "{1:2}",
    ],
    "[".repeat(65) + "]".repeat(65), // nobody looks so deep
  ]
  for (const text of texts) test(JSON.stringify(text.slice(0, 20)), () => expect(readJson(text)).toBeUndefined())

  test("it agrees with JSON.parse on whatever is made of its characters", () => {
    const alphabet = ["{", "}", "[", "]", ",", ":", '"a"', "1", "null", " "]
    let seed = 7
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: 1 + random() * 7 }, () => alphabet[Math.floor(random() * 10)]).join("")
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      expect([text, readJson(text) !== undefined]).toEqual([text, isJson])
    }
  })
})

describe("of JSON that has been cut off", () => {
  const whole = '{"name":"a\\"b","ok":true,"list":[1,{"x":-2.5e3}],"none":null}'
  test("what is there is shown, wherever it was cut", () => {
    for (let length = 0; length <= whole.length; length++) {
      const part = whole.slice(0, length)
      expect([part, readJson(part, true) !== undefined]).toEqual([part, true])
    }
  })

  test("a number at the end may have had more digits, and does not count", () => {
    expect([...readJson('{"a":12,"b":34', true)!.numbers]).toEqual([["a", 12]])
    expect([...readJson('{"a":12,"b":34,', true)!.numbers]).toEqual([
      ["a", 12],
      ["b", 34],
    ])
  })

  test("what was none before that is none", () => {
    for (const text of ["{a", "[1,]", '{"a" 1,', "[tru1", "hello"]) expect(readJson(text, true)).toBeUndefined()
  })
})

describe("the numbers in JSON are known by their path", () => {
  const paths: [json: string, numbers: [path: string, value: number][]][] = [
    ["21.5", [["", 21.5]]],
    [
      '{"a":1,"b":{"c":-2}}',
      [
        ["a", 1],
        ["b.c", -2],
      ],
    ],
    [
      "[1,[2,3]]",
      [
        ["[0]", 1],
        ["[1][0]", 2],
        ["[1][1]", 3],
      ],
    ],
    [
      '{"v":[{"max":1},{"max":2}]}',
      [
        ["v[0].max", 1],
        ["v[1].max", 2],
      ],
    ],
    [
      '{"a b":1,"":2,"7":3,"größe":4}',
      [
        ['["a b"]', 1],
        ['[""]', 2],
        ['["7"]', 3],
        ["größe", 4],
      ],
    ],
    ['{"a":"1","b":true,"c":null}', []],
    ['{"a":1,"a":2}', [["a", 2]]],
  ]
  for (const [json, numbers] of paths) test(json, () => expect([...readJson(json)!.numbers]).toEqual(numbers))

  test("of hundreds the first hundred", () => {
    expect(readJson(JSON.stringify(Array.from({ length: 300 }, (_, n) => n)))!.numbers.size).toBe(100)
  })
})

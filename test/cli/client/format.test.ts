/** What sub-format.test.ts cannot compare with mosquitto_sub: its mistakes, its newer versions, and what only a terminal sees. */
import { describe, expect, test } from "bun:test"
import { parseFormat } from "../../../src/cli/client/format.ts"
import { type Message, toJson } from "../../../src/cli/client/message.ts"
import { printer } from "../../../src/cli/client/printer.ts"

const message = (fields: Partial<Message> = {}): Message => ({
  ...{ topic: "a/b", payload: Buffer.from("hello"), qos: 1, retain: false, messageId: 7, properties: undefined },
  ...{ came: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), ...fields },
})

const screen = { isTerminal: false, paint: (topic: string) => topic, warn: () => {} }

/** What is printed, as a string of bytes. */
function printed(flags: object, fields: Partial<Message> = {}, isTerminal = false): string {
  return printer({ eol: true, ...flags }, { ...screen, isTerminal })(message(fields)).toString("latin1")
}

describe("-F", () => {
  const table: [format: string, expected: string, fields?: Partial<Message>][] = [
    ["%I", "2026-01-02T03:04:05+0000"],
    ["%U", "1767323045.678000000"],
    ["@H:@M:@S.@N", "03:04:05.678000000"],
    ["%6x|%-6x|%02x", "68656c6c6f|68656c6c6f|6865"], // mosquitto_sub 2.0 shows half of the bytes then; 2.1 does this
    ["%12x|%-12X|%012x", "  68656c6c6f|68656C6C6F  |0068656c6c6f"],
    ["%A %S", "3 8", { properties: { topicAlias: 3, subscriptionIdentifier: [8, 9] } }],
    ["%F", "0", { properties: { payloadFormatIndicator: false } }],
    ["%P", "a:1 a:2 b:3", { properties: { userProperties: { a: ["1", "2"], b: "3" } } }],
    ["%D", "\0\xff", { properties: { correlationData: Buffer.from([0, 255]) } }],
    ["ä%t", "Ã¤a/b"],
    ["%.0t|", "|"],
    ["%-3l|%03l|%3l", "5  |005|  5"],
  ]
  for (const [format, expected, fields] of table)
    test(`${format} -> ${JSON.stringify(expected)}`, () => {
      expect(printed({ format }, fields)).toBe(`${expected}\n`)
    })

  test("%J of a payload that is not JSON is nothing, and a warning", () => {
    const warnings: string[] = []
    const options = { shown: (bytes: Buffer) => bytes.toString("latin1"), isPretty: false }
    const part = parseFormat("%t %J.", { ...options, warn: (line) => warnings.push(line) })
    expect(part(message())).toBe("a/b .")
    expect(warnings).toEqual(["the payload of a/b is not JSON"])
  })

  const mistakes: [format: string, problem: string][] = [
    ["%", "the last % has no letter behind it"],
    ["%10", "the last % has no letter behind it"],
    ["%i", "%i is unknown: it takes % A C D E F I"],
    ["%-010.5z", "%-010.5z is unknown"],
    ["a@", "after the last @ a character is missing"],
    ["\\", "it takes 0 \\ a e n r t v behind \\"],
    ["\\x", "\\x is unknown"],
  ]
  for (const [format, problem] of mistakes)
    test(`${format}: ${problem}`, () => expect(() => printed({ format })).toThrow(problem))
})

describe("--json", () => {
  test("has what there is, in the names of the library", () => {
    const properties = {
      messageExpiryInterval: 60,
      subscriptionIdentifier: 3,
      correlationData: Buffer.from("c"),
      contentType: "text/plain",
      userProperties: { a: ["1", "2"] },
    }
    expect(toJson(message({ properties }))).toEqual({
      time: "2026-01-02T03:04:05.678Z",
      topic: "a/b",
      qos: 1,
      retain: false,
      payload: "hello",
      properties: {
        messageExpirySeconds: 60,
        subscriptionIdentifiers: [3],
        correlationData: "c",
        contentType: "text/plain",
        userProperties: { a: ["1", "2"] },
      },
    })
  })

  test("is one line, whatever the payload is, and bytes that are no text are in base64", () => {
    expect(printed({ json: true }, { payload: Buffer.from('two\nlines "quoted"') })).toBe(
      `{"time":"2026-01-02T03:04:05.678Z","topic":"a/b","qos":1,"retain":false,"payload":"two\\nlines \\"quoted\\""}\n`,
    )
    expect(toJson(message({ payload: Buffer.from([0xff]) }))).toMatchObject({ payloadBase64: "/w==" })
  })
})

describe("at a terminal, what others have written", () => {
  const evil = { topic: "a\x1b]0;x\x07", payload: Buffer.from("red\x1b[31m\r\x9b2J\ttab\nline") }
  const tamed = "red\\x1b[31m\\x0d\\x9b2J\ttab\nline"

  test("neither moves the cursor nor changes colours", () => {
    const asBytes = Buffer.from(tamed).toString("latin1")
    expect(printed({}, evil, true)).toBe(`${asBytes}\n`)
    expect(printed({ verbose: true }, evil, true)).toBe(`a\\x1b]0;x\\x07 ${asBytes}\n`)
    expect(printed({ format: "%t|%p" }, evil, true)).toBe(`a\\x1b]0;x\\x07|${asBytes}\n`)
  })

  test("but -F may", () => {
    expect(printed({ format: "\\e[1m%t\\e[0m" }, {}, true)).toBe("\x1b[1ma/b\x1b[0m\n")
  })

  test("goes byte for byte to a file or another program", () => {
    const bytes = Buffer.from([0, 27, 255, 10])
    for (const flags of [{}, { format: "%p" }]) expect(printed(flags, { payload: bytes })).toBe("\0\x1b\xff\n\n")
  })
})

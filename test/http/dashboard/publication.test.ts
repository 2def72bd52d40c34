/** What the publish form asks of the API, and where it shows what was wrong. */
import { describe, expect, test } from "bun:test"
import {
  base64Of,
  bytesOfHex,
  emptyFields,
  fieldErrorsOf,
  type PublishFields,
  prettyJson,
  publicationOf,
} from "../../../src/http/dashboard/model/publication.ts"
import { handled } from "../../support/http.ts"

const filled = (fields: Partial<PublishFields>) => publicationOf({ ...emptyFields, topic: "t", ...fields })

describe("the request", () => {
  test("has the topic, the payload, and how it is to be sent", () => {
    expect(filled({ payload: "hello", qos: 1, retain: true })).toEqual({
      body: { topic: "t", payload: "hello", qos: 1, retain: true },
    })
  })
  const payloads: [what: string, fields: Partial<PublishFields>, payload: object][] = [
    ["no payload", { form: "empty", payload: "left" }, {}],
    [
      "JSON as it is typed",
      { form: "json", payload: '{ "id": 12345678901234567890 }' },
      { payload: '{ "id": 12345678901234567890 }' },
    ],
    ["bytes", { form: "hex", payload: "00 ff 10" }, { payloadBase64: "AP8Q" }],
    ["a file", { form: "file", file: Uint8Array.of(1, 2) }, { payloadBase64: "AQI=" }],
  ]
  for (const [what, fields, payload] of payloads) {
    test(what, () => expect(filled(fields)).toEqual({ body: { topic: "t", qos: 0, retain: false, ...payload } }))
  }
  test("has those properties that are filled in", () => {
    const fields: Partial<PublishFields> = {
      ...{ form: "empty", isText: true, messageExpirySeconds: " 60 ", contentType: "text/plain", responseTopic: "r" },
      correlationData: "é",
      userProperties: [
        ["a", "1"],
        ["", ""],
        ["a", ""],
      ],
    }
    expect(filled(fields)).toEqual({
      body: {
        ...{ topic: "t", qos: 0, retain: false },
        properties: {
          ...{ payloadFormatIndicator: true, messageExpirySeconds: 60, contentType: "text/plain", responseTopic: "r" },
          correlationDataBase64: "w6k=",
          userProperties: [
            ["a", "1"],
            ["a", ""],
          ],
        },
      },
    })
  })
})

describe("what makes no sense is said at its field, and nothing is sent", () => {
  const wrong: [what: string, fields: Partial<PublishFields>, field: string][] = [
    ["no topic", { topic: "" }, "topic"],
    ["a filter", { topic: "a/+" }, "topic"],
    ["what is no JSON", { form: "json", payload: "{a}" }, "payload"],
    ["half a byte", { form: "hex", payload: "0" }, "payload"],
    ["no file", { form: "file" }, "payload"],
    ["an expiry that is no number", { messageExpirySeconds: "1.5" }, "messageExpirySeconds"],
    ["an expiry that is too long", { messageExpirySeconds: "4294967296" }, "messageExpirySeconds"],
  ]
  for (const [what, fields, field] of wrong) {
    test(what, () => expect(Object.keys((filled(fields) as { errors: object }).errors)).toEqual([field]))
  }
})

describe("what the API says", () => {
  test("stands at the fields that it names", () => {
    const parts = [
      { name: "properties.contentType", detail: "is too long" },
      { name: "payloadBase64", detail: "is none" },
      { name: "properties.userProperties.0.1", detail: "x" },
      { name: "elsewhere", detail: "y" },
    ]
    expect(fieldErrorsOf("the body makes no sense", parts)).toEqual({
      ...{ contentType: "is too long", payload: "is none", userProperties: "x", "": "y" },
    })
  })
  test("stands above the form where it names none", () => {
    expect(fieldErrorsOf("the store fails", [])).toEqual({ "": "the store fails" })
  })
})

describe("what the broker itself says of a message stands at the field that it is about", () => {
  const wrong: [field: string, publication: object][] = [
    ["topic", { topic: "a/+" }],
    ["topic", { topic: "$SYS/a" }],
    ["topic", { topic: "a/".repeat(200) }],
    ["responseTopic", { topic: "a", properties: { responseTopic: "b/#" } }],
    ["contentType", { topic: "a", properties: { contentType: "\0" } }],
    ["messageExpirySeconds", { topic: "a", properties: { messageExpirySeconds: -1 } }],
    ["userProperties", { topic: "a", properties: { userProperties: [["a"]] } }],
    ["payload", { topic: "a", payloadBase64: "?" }],
    ["", { topic: "a", more: 1 }],
  ]
  for (const [field, publication] of wrong) {
    test(JSON.stringify(publication).slice(0, 60), async () => {
      const { ask } = await handled({})
      const { status, body } = await ask("/api/v1/publish", { method: "POST", json: publication })
      expect([status, Object.keys(fieldErrorsOf(body.detail, body.errors ?? []))]).toEqual([400, [field]])
    })
  }
})

describe("bytes", () => {
  test("are typed in any of the usual ways", () => {
    for (const text of ["00ff10", "00 FF 10", "00:ff:10", "0x00, 0xff, 0x10", "00\nff\n10"]) {
      expect([text, [...(bytesOfHex(text) ?? [])]]).toEqual([text, [0, 255, 16]])
    }
    for (const text of ["0", "0g", "ff f"]) expect([text, bytesOfHex(text)]).toEqual([text, undefined])
    expect(bytesOfHex("")).toEqual(new Uint8Array())
  })
  test("of a large file become base64", () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, n) => n * 7)
    expect(base64Of(bytes)).toBe(Buffer.from(bytes).toString("base64"))
  })
})

test("JSON is made pretty without changing it", () => {
  expect(prettyJson('{"a":[1.10,{}]}')).toBe('{\n  "a": [\n    1.10,\n    {}\n  ]\n}')
  expect(prettyJson("{a}")).toBeUndefined()
})

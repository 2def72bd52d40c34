import { describe, expect, test } from "bun:test"
import { showPayload } from "../../src/http/payload.ts"

describe("a payload in JSON", () => {
  test("is text where it is UTF-8, else base64", () => {
    expect(showPayload(Buffer.from("grüße\0"))).toEqual({ payloadBytes: 8, payload: "grüße\0" })
    expect(showPayload(Buffer.from([0xff, 0]))).toEqual({ payloadBytes: 2, payloadBase64: "/wA=" })
    expect(showPayload(new Uint8Array(0))).toEqual({ payloadBytes: 0, payload: "" })
  })

  test("of which there is only the beginning says so, and has no half characters", () => {
    const text = "aß€\u{1f95f}!"
    const bytes = Buffer.from(text)
    const shown = Array.from(bytes, (_, end) => showPayload(bytes.subarray(0, end), bytes.length).payload)
    expect(shown).toEqual(["", "a", "a", "aß", "aß", "aß", "aß€", "aß€", "aß€", "aß€", "aß€\u{1f95f}"])
    expect(showPayload(bytes.subarray(0, 4), bytes.length)).toEqual({
      ...{ payloadBytes: bytes.length, payload: "aß", isTruncated: true },
    })
  })

  test("whose beginning is no UTF-8 is base64 as far as it goes", () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x80, 0x80, 0x80, 0x80])
    const { payloadBase64, payload } = showPayload(bytes, 100)
    expect([Buffer.from(payloadBase64!, "base64"), payload]).toEqual([bytes, undefined])
  })
})

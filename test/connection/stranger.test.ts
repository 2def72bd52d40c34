/** What comes to a port of MQTT and is something else: it is told by its first byte, and never waited for. */
import { describe, expect, test } from "bun:test"
import { hex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { connectBytes, fate } from "./wire.ts"

const CLIENT_HELLO = hex("16 03 01 00 c8 01 00 00 c4 03 03")

describe("who does not begin with a CONNECT is closed at once, and the log says what it looks like", () => {
  const http = " it looks like HTTP"
  const proxy = " it looks like the PROXY protocol"
  const table: [name: string, bytes: Buffer, guess: string][] = [
    ["HTTP, short", Buffer.from("GET / HTTP/1.0\r\n\r\n"), http],
    ["HTTP, long", Buffer.from(`POST /login HTTP/1.1\r\nHost: example.com\r\nA: ${"x".repeat(100)}\r\n\r\n`), http],
    ["HTTP, its first word alone", Buffer.from("HEAD "), http],
    ["HTTP/2", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http],
    ["TLS", CLIENT_HELLO, " it looks like TLS"],
    ["TLS, cut off", CLIENT_HELLO.subarray(0, 3), " it looks like TLS"],
    ["a PROXY header", Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), proxy],
    ["a PROXY header of version 2", hex("0d0a0d0a000d0a515549540a 20 00 0000"), proxy],
    ["a greeting of SSH", Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), ""],
    ["a single byte of TLS, of which nobody knows more", hex("16"), ""],
    ["a single letter", Buffer.from("G"), ""],
    ["half a packet that is no CONNECT", hex("30 7f 0001"), ""],
    ["a CONNECT with flags that it has not", hex("11"), ""],
  ]
  for (const [name, bytes, guess] of table)
    test(name, () => {
      const harness = new Harness()
      expect(fate(harness.open().sendBytes(bytes))).toBe("closed")
      const tail = guess === "" ? "" : `;${guess}`
      expect(harness.logged).toEqual([`info closing 192.0.2.1 on test: the first packet is not a CONNECT${tail}`])
      harness.clock.advance(60)
      expect(harness.core.metrics.limitsHit["connect timeout"]).toBe(0)
    })
})

describe("who begins with a CONNECT is waited for", () => {
  for (const length of [1, 2, 10])
    test(`${length} bytes of it`, () => {
      const client = new Harness().open().sendBytes(connectBytes().subarray(0, length))
      expect(fate(client)).toBe("open")
      expect(fate(client.sendBytes(connectBytes().subarray(length)))).toMatch(/^20.* open$/)
    })
  test("half a packet behind it is not taken for a beginning, not even while the auth is asked", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const client = new Harness({ auth: { authenticate: () => promise } }).open()
    client.sendBytes(Buffer.concat([connectBytes(), hex("30 05 0001")]))
    client.sendBytes("61 00")
    expect(fate(client)).toBe("open")
    resolve(true)
    await microtasks()
    expect(fate(client)).toMatch(/^20.* open$/)
  })
})

/** PROXY headers byte by byte: what is one, what is none, how long it is, and who the client is. */
import { describe, expect, test } from "bun:test"
import { type ProxyHeader, readProxyHeader, trustedBy } from "../../src/listeners/proxy.ts"
import { hex } from "../support/bytes.ts"

const SIGNATURE = "0d0a0d0a000d0a515549540a"

/** A header of version 2: version and command, family and protocol, and what follows, in hexadecimal. */
function version2(command: string, family: string, payload: string): Buffer {
  const length = hex(payload).length.toString(16).padStart(4, "0")
  return hex(SIGNATURE + command + family + length + payload)
}

const ipv4 = "cb007109 7f000001 d431 075b" // 203.0.113.9 to 127.0.0.1
const ipv6 = `20010db8000000000000000000000009 ${"00".repeat(15)}01 d431 075b`
const mapped = `00000000000000000000ffffcb007109 ${"00".repeat(15)}01 d431 075b`
const unix = Buffer.from("/run/client.sock".padEnd(216, "\0")).toString("hex")
const tlvs = "030004 00000000 200005 0000000000 04000a 00112233445566778899"
/** The longest that the specification knows. */
const longest = `PROXY UNKNOWN ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`

/** Headers, and who the client is; undefined: the proxy does not say. */
const headers: [name: string, header: string | Buffer, address: string | undefined][] = [
  ["version 1, TCP4", "PROXY TCP4 203.0.113.9 127.0.0.1 54321 1883\r\n", "203.0.113.9"],
  ["version 1, TCP6", "PROXY TCP6 2001:db8::9 ::1 54321 1883\r\n", "2001:db8::9"],
  ["version 1, TCP6 written at length", "PROXY TCP6 2001:0DB8:0:0:0:0:0:9 ::1 1 2\r\n", "2001:db8::9"],
  ["version 1, IPv4 in IPv6", "PROXY TCP6 ::ffff:203.0.113.9 ::1 54321 1883\r\n", "203.0.113.9"],
  ["version 1, the widest ports", "PROXY TCP4 203.0.113.9 127.0.0.1 0 65535\r\n", "203.0.113.9"],
  ["version 1, UNKNOWN", "PROXY UNKNOWN\r\n", undefined],
  ["version 1, UNKNOWN with addresses of no meaning", "PROXY UNKNOWN 1.2.3.4 what ever\r\n", undefined],
  ["version 1, the longest", longest, undefined],
  ["version 2, TCP over IPv4", version2("21", "11", ipv4), "203.0.113.9"],
  ["version 2, UDP over IPv4", version2("21", "12", ipv4), "203.0.113.9"],
  ["version 2, TCP over IPv6", version2("21", "21", ipv6), "2001:db8::9"],
  ["version 2, IPv4 in IPv6", version2("21", "21", mapped), "203.0.113.9"],
  ["version 2, a Unix socket", version2("21", "31", unix), undefined],
  ["version 2, no family", version2("21", "00", ""), undefined],
  ["version 2, LOCAL", version2("20", "00", ""), undefined],
  ["version 2, LOCAL with addresses that do not count", version2("20", "11", ipv4), undefined],
  ["version 2, with more behind the addresses", version2("21", "11", ipv4 + tlvs), "203.0.113.9"],
  ["version 2, LOCAL with more", version2("20", "00", tlvs), undefined],
  [
    "version 2, as much as can be behind the addresses",
    version2("21", "11", ipv4 + "00".repeat(65_523)),
    "203.0.113.9",
  ],
]

/** What is not the PROXY protocol, or not as it is written down. */
const strangers: [name: string, bytes: string | Buffer][] = [
  ["a CONNECT", hex("10 0d 0004 4d515454 04 02 003c 0001 61")],
  ["an HTTP request", "GET / HTTP/1.1\r\n\r\n"],
  ["a TLS hello", hex("16 03 01 00 c8 01 00 00 c4 03 03")],
  ["zeros", Buffer.alloc(16)],
  ["small letters", "proxy TCP4 203.0.113.9 127.0.0.1 1 2\r\n"],
  ["a blank in front", " PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n"],
  ["nothing behind the word", "PROXY \r\n"],
  ["a family of nobody's", "PROXY UDP4 203.0.113.9 127.0.0.1 1 2\r\n"],
  ["UNKNOWN, and on", "PROXY UNKNOWNS\r\n"],
  ["an IPv6 address as TCP4", "PROXY TCP4 2001:db8::9 127.0.0.1 1 2\r\n"],
  ["an IPv4 address as TCP6", "PROXY TCP6 203.0.113.9 ::1 1 2\r\n"],
  ["a name for an address", "PROXY TCP4 localhost 127.0.0.1 1 2\r\n"],
  ["half an address", "PROXY TCP4 203.0.113 127.0.0.1 1 2\r\n"],
  ["an address with a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"],
  ["a destination that is no address", "PROXY TCP4 203.0.113.9 here 1 2\r\n"],
  ["two blanks", "PROXY TCP4  203.0.113.9 127.0.0.1 1 2\r\n"],
  ["no ports", "PROXY TCP4 203.0.113.9 127.0.0.1\r\n"],
  ["one port", "PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n"],
  ["three ports", "PROXY TCP4 203.0.113.9 127.0.0.1 1 2 3\r\n"],
  ["a port too high", "PROXY TCP4 203.0.113.9 127.0.0.1 65536 2\r\n"],
  ["a port below", "PROXY TCP4 203.0.113.9 127.0.0.1 -1 2\r\n"],
  ["a port in hexadecimal", "PROXY TCP4 203.0.113.9 127.0.0.1 0x1 2\r\n"],
  ["a line that ends only in a line feed", `PROXY TCP4 203.0.113.9 127.0.0.1 1 2\n${" ".repeat(80)}`],
  ["a line longer than any", `PROXY UNKNOWN ${"x".repeat(100)}\r\n`],
  ["version 1 of the binary form", version2("11", "11", ipv4)],
  ["version 3 of it", version2("31", "11", ipv4)],
  ["a command of nobody's", version2("22", "11", ipv4)],
  ["IPv4 with too little behind it", version2("21", "11", ipv4.slice(0, -2))],
  ["IPv6 with too little behind it", version2("21", "21", ipv4)],
  ...Array.from({ length: 12 }, (_, at): [string, Buffer] => {
    const broken = version2("21", "11", ipv4)
    broken[at]! ^= 1
    return [`a signature that is wrong at byte ${at}`, broken]
  }),
]

/** Every length for short ones; for long ones those around which something begins or ends. */
function lengthsBelow(length: number): number[] {
  return Array.from({ length }, (_, index) => index).filter((each) => each < 300 || each > length - 50)
}

describe("a PROXY header", () => {
  for (const [name, header, address] of headers) {
    const bytes = Buffer.from(header as string, "latin1")
    const whole: ProxyHeader = { length: bytes.length, address }

    test(`${name}: is read, and nothing of what follows`, () => {
      expect(readProxyHeader(bytes)).toEqual(whole)
      for (const next of ["10 0c 00 04", "0d 0a 0d 0a", "50 52 4f 58 59 20"])
        expect(readProxyHeader(Buffer.concat([bytes, hex(next)]))).toEqual(whole)
    })

    test(`${name}: wherever it is split, the rest is waited for`, () => {
      for (const length of lengthsBelow(bytes.length)) {
        expect([length, readProxyHeader(bytes.subarray(0, length))]).toEqual([length, "incomplete"])
      }
    })
  }
})

describe("what is no PROXY header", () => {
  for (const [name, stranger] of strangers)
    test(`${name}: is told as soon as it shows, and never taken for one`, () => {
      const bytes = Buffer.from(stranger as string, "latin1")
      expect(readProxyHeader(bytes)).toBe("invalid")
      const fates = Array.from({ length: bytes.length + 1 }, (_, length) => readProxyHeader(bytes.subarray(0, length)))
      const shown = fates.indexOf("invalid")
      expect(fates.slice(0, shown).every((fate) => fate === "incomplete")).toBe(true)
      expect(fates.slice(shown).every((fate) => fate === "invalid")).toBe(true)
    })

  test("a line that never ends is no header after 107 bytes, a wrong first byte after one", () => {
    const endless = Buffer.from(`PROXY TCP4 ${"1".repeat(200)}`)
    expect(readProxyHeader(endless.subarray(0, 106))).toBe("incomplete")
    expect(readProxyHeader(endless.subarray(0, 107))).toBe("invalid")
    expect(readProxyHeader(hex("10"))).toBe("invalid")
  })
})

describe("who is trusted to speak for others", () => {
  const table: [trusted: string[], inside: string[], outside: string[]][] = [
    [["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["11.0.0.1", "9.255.255.255", "::1"]],
    [["192.0.2.7"], ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.8", "192.0.2.6"]],
    [["192.0.2.7/32"], ["192.0.2.7"], ["192.0.2.6"]],
    [["0.0.0.0/0"], ["203.0.113.1", "::ffff:203.0.113.1"], ["::1", "2001:db8::1"]],
    [["::1"], ["::1", "0:0:0:0:0:0:0:1"], ["::2", "127.0.0.1"]],
    [["2001:db8::/32"], ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::1"]],
    [
      ["10.0.0.0/8", "::1"],
      ["10.1.1.1", "::1"],
      ["192.0.2.1", "::2"],
    ],
    [[], [], ["127.0.0.1", "::1"]],
    [
      ["0.0.0.0/0", "::/0"],
      ["127.0.0.1", "::1"],
      ["unix", ""],
    ],
  ]
  for (const [trusted, inside, outside] of table)
    test(`[${trusted}]`, () => {
      const isTrusted = trustedBy({ trusted })
      expect(inside.filter((address) => !isTrusted(address))).toEqual([])
      expect(outside.filter((address) => isTrusted(address))).toEqual([])
    })

  for (const network of ["", "localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "10/8", "::1/129"])
    test(`${JSON.stringify(network)} is no network`, () => {
      const message = `proxy.trusted takes addresses and networks such as 10.0.0.0/8, not ${JSON.stringify(network)}`
      expect(() => trustedBy({ trusted: ["::1", network] })).toThrow(message)
    })
})

/**
 * Connections that are up to no good, many at a time, against a broker that is a process of its own: while they stand a healthy
 * client is served within a second through every door, memory stays bounded, and in time they are gone.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import mqtt from "mqtt-packet"
import { Reason } from "../../src/codec/index.ts"
import { hex } from "../support/bytes.ts"
import { Certificates } from "../support/certificates.ts"
import { type Door, Doors, PASSWORD } from "../support/doors.ts"
import { type Attacker, attack, emptied, SERVED_WITHIN_MS, visit, withstand } from "../support/siege.ts"
import { frame, Opcode, upgradeText } from "./frames.ts"

setDefaultTimeout(60_000)

let certificates: Certificates
let doors: Doors
/** A broker apart for what ends by Bun's own clock alone, after ten seconds and some: it begins with the first test. */
let apart: Doors
let endless: Promise<void>
beforeAll(async () => {
  certificates = await Certificates.make()
  doors = await Doors.open(certificates)
  apart = await Doors.open(certificates)
  for (const door of ["tcp", "tls", "ws", "wss"] as const) for (const each of [doors, apart]) await visit(each, door)
  endless = withstand(apart, endlessRequests)
  endless.catch(() => {}) // its test tells
})
afterAll(async () => {
  await doors[Symbol.asyncDispose]()
  await apart[Symbol.asyncDispose]()
  certificates[Symbol.dispose]()
})

/** A CONNECT of MQTT 5.0 with a keep-alive of a second. */
const connectBytes = (index: number, fields: object = {}) =>
  mqtt.generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    keepalive: 1,
    clientId: `announcer-${index}`,
    ...fields,
  })
/** The reason of the CONNACK that somebody was answered. */
const reasonOf = ({ answer }: Attacker): number | undefined => answer?.[3]
const HELLO = hex("16 03 01 00 c8 01 00 00 c4 03 03")
const NOTHING = Buffer.alloc(0)
/** What every length of 256 MiB looks like, less one byte. */
const GIANT = hex("ff ff ff 7f")

/** Requests of HTTP, and handshakes before them, that never begin, stop, or drip. */
async function endlessRequests() {
  const request = Buffer.from(upgradeText().slice(0, -2))
  const drip = Buffer.from("x")
  return [
    ...(await attack(apart.ports.ws, 500, (index) => (index % 2 === 0 ? NOTHING : request))),
    ...(await attack(apart.ports.ws, 500, () => request, drip)),
    ...(await attack(apart.ports.wss, 500, (index) => (index % 2 === 0 ? NOTHING : HELLO))),
    ...(await attack(apart.ports.wss, 500, () => HELLO, drip)),
  ]
}

describe("2,000 connections", () => {
  test("half-open, or dripping a byte at a time: of a CONNECT, of a PROXY header", async () => {
    const parts = [NOTHING, hex("10"), hex("10 20 0004 4d51"), hex("10 ff ff")]
    const start = hex("10 ff 7f 0004 4d515454 05 02 003c 00 ff00") // a client id of 65,280 bytes
    const proxied = Buffer.from("PROXY TCP4 1")
    await withstand(doors, async () => [
      ...(await attack(doors.ports.tcp, 500, (index) => parts[index % parts.length]!)),
      ...(await attack(doors.ports.tcp, 1000, () => start, Buffer.from("x"))),
      ...(await attack(doors.ports.proxy, 250, (index) => (index % 2 === 0 ? NOTHING : proxied))),
      ...(await attack(doors.ports.proxy, 250, () => proxied, Buffer.from("1"))),
    ])
  })

  test("that announce 256 MiB and send nothing: strangers, and clients that were let in, as long as they say something", async () => {
    const publish = Buffer.concat([hex("30"), GIANT, hex("0001 74")])
    await withstand(doors, async () => [
      ...(await attack(doors.ports.tcp, 1000, () => Buffer.concat([hex("10"), GIANT]))),
      ...(await attack(doors.ports.tcp, 1000, (index) => Buffer.concat([connectBytes(index), publish]))),
    ])
  })

  test("whose TLS handshake never begins, stops or drips", async () => {
    await withstand(doors, async () => [
      ...(await attack(doors.ports.tls, 1000, (index) => (index % 2 === 0 ? NOTHING : HELLO))),
      ...(await attack(doors.ports.tls, 1000, () => HELLO, hex("00"))),
    ])
  })

  test("of WebSockets: silent ones, frames announced that never come, frames of more than may be", async () => {
    const upgrade = Buffer.from(upgradeText())
    const frames = [
      NOTHING,
      frame(Opcode.binary, hex("10"), true, 4_000_000),
      frame(Opcode.binary, NOTHING, true, 1 << 30),
      frame(Opcode.binary, hex("10 ff ff"), false),
    ]
    const first = (index: number) => Buffer.concat([upgrade, frames[index % frames.length]!])
    await withstand(doors, () => attack(doors.ports.ws, 2000, first))
  })
})

test("2,000 guesses at a password, from eight addresses: few are looked at, and who comes from elsewhere is in within a second", async () => {
  const from = (address: string, fields: object) =>
    Buffer.concat([Buffer.from(`PROXY TCP4 ${address} 127.0.0.1 4711 1883\r\n`), connectBytes(0, fields)])
  const guess = (index: number) =>
    from(`192.0.2.${index % 8}`, { clientId: `guess-${index}`, username: "user 0", password: Buffer.from(`${index}`) })
  const attackers = await attack(doors.ports.guarded, 2000, guess)
  const start = performance.now()
  const visitors = await attack(doors.ports.guarded, 3, (index) => {
    const password = Buffer.from(PASSWORD)
    return from(`198.51.100.${index}`, { clientId: `visitor-${index}`, username: `user ${index + 1}`, password })
  })
  const visits = visitors.map(async (visitor) => {
    await visitor.until(() => visitor.answer !== undefined, "CONNACK")
    return performance.now() - start
  })
  expect(Math.min(...(await Promise.all(visits)))).toBeLessThan(SERVED_WITHIN_MS)
  expect(visitors.map(reasonOf)).toEqual([Reason.Success, Reason.Success, Reason.Success])
  for (const visitor of visitors) visitor.destroy()
  for (const attacker of attackers) await attacker.until(() => attacker.hasEnded, "the end")
  const wrong = attackers.filter((attacker) => reasonOf(attacker) === Reason.BadUserNameOrPassword)
  expect(wrong.length).toBeLessThan(8 * 60) // 36 at once, and then one a second
  const others = new Set(attackers.filter((attacker) => !wrong.includes(attacker)).map(reasonOf))
  others.delete(Reason.ServerUnavailable) // it took longer than they had to connect
  expect([...others]).toEqual([Reason.ServerBusy])
  for (const attacker of attackers) attacker.destroy()
  await emptied(doors)
})

describe("another protocol than the door's", () => {
  const timeouts = () => doors.logged.split("no CONNECT in time").length - 1
  const table: [name: string, door: Door, bytes: Buffer][] = [
    ["HTTP where MQTT is spoken", "tcp", Buffer.from(upgradeText())],
    ["HTTP without a header where MQTT is spoken", "tcp", Buffer.from("GET / HTTP/1.0\r\n\r\n")],
    ["HTTP where MQTT over TLS is spoken", "tls", Buffer.from(upgradeText())],
    ["HTTP where a PROXY header comes first", "proxy", Buffer.from(upgradeText())],
    ["TLS where MQTT is spoken in clear", "tcp", HELLO],
    ["the first byte of TLS where MQTT is spoken in clear", "tcp", HELLO.subarray(0, 1)],
    ["MQTT where HTTP is spoken", "ws", connectBytes(0)],
    ["MQTT where HTTP over TLS is spoken", "wss", connectBytes(0)],
    ["MQTT where MQTT over TLS is spoken", "tls", connectBytes(0)],
    ["MQTT where a PROXY header comes first", "proxy", connectBytes(0)],
    ["noise where MQTT is spoken", "tcp", Buffer.alloc(4096, 0xff)],
    ["noise where HTTP is spoken", "ws", Buffer.alloc(4096, 0xff)],
    ["an endless header where HTTP is spoken", "ws", Buffer.from(`GET / HTTP/1.1\r\nA: ${"x".repeat(100_000)}`)],
  ]
  for (const [name, door, bytes] of table)
    test(`${name}, 100 times: closed at once`, async () => {
      const before = timeouts()
      const attackers = await attack(doors.ports[door], 100, () => bytes)
      for (const attacker of attackers) await attacker.until(() => attacker.hasEnded, "the end")
      for (const attacker of attackers) attacker.destroy()
      await emptied(doors)
      await visit(doors, "tcp")
      expect(timeouts()).toBe(before) // it was not for want of a CONNECT
    })
})

test("2,000 connections whose request of HTTP, or handshake before it, never begins, stops or drips", () => endless)

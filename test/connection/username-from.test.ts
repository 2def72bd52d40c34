/** The user name that a client's certificate says, where its listener goes by that. */
import { describe, expect, test } from "bun:test"
import type { Certificate, Connecting } from "../../src/broker/ports.ts"
import type { Serving } from "../../src/broker/serving.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { levels, told } from "./wire.ts"

const full = { commonName: "alice", subjectAltNames: ["email:alice@example.com", "DNS:alice.example.com"] }
/** What it has shown; undefined: nothing. */
type Shown = Omit<Certificate, "fingerprint"> | undefined
/** What a CONNECT says. */
const said = { username: "said", password: Buffer.from("p") }

/** A listener that goes by that name and lets everybody in, and who has asked. */
function listening(usernameFrom: Serving["usernameFrom"]) {
  const harness = new Harness()
  const asked: Connecting[] = []
  const authenticate = (connecting: Connecting) => asked.push(connecting) > 0
  const listener: Serving = { ...harness.listener({}, { authenticate }), usernameFrom }
  const connect = (certificate: Shown, level: ProtocolLevel = 5): TestClient =>
    Object.assign(harness.open(level, listener), { certificate }).connect(said)
  return { harness, asked, connect }
}

describe("a client is who its certificate says, whatever its CONNECT says", () => {
  for (const [usernameFrom, username] of [
    [undefined, "said"],
    ["commonName", "alice"],
    ["subjectAltName", "alice@example.com"],
  ] as const)
    test(`usernameFrom ${usernameFrom}: ${username}`, () => {
      const { asked, connect } = listening(usernameFrom)
      expect(told(connect(full))).toBe("connack 00, open")
      expect(asked.map((each) => each.username)).toEqual([username])
    })
})

describe("of several alternative names it is the first, of whatever kind", () => {
  for (const [first, username] of [
    ["DNS:alice.example.com", "alice.example.com"],
    ["email:alice@example.com", "alice@example.com"],
    ["URI:urn:device:7", "urn:device:7"],
    ["IP Address:192.0.2.7", "192.0.2.7"],
  ] as const)
    test(first, () => {
      const { asked, connect } = listening("subjectAltName")
      connect({ commonName: "alice", subjectAltNames: [first, "DNS:other.example.com", "email:other@example.com"] })
      expect(asked.map((each) => each.username)).toEqual([username])
    })
})

describe("a certificate without that name is nobody's: refused, before the auth is asked, and counted", () => {
  const nameless: [name: string, from: "commonName" | "subjectAltName", certificate: Shown][] = [
    ["no common name", "commonName", { ...full, commonName: undefined }],
    ["an empty common name", "commonName", { ...full, commonName: "" }],
    ["no alternative names", "subjectAltName", { ...full, subjectAltNames: [] }],
    ["an empty alternative name", "subjectAltName", { ...full, subjectAltNames: ["email:"] }],
    ["no certificate", "commonName", undefined],
    ["no certificate", "subjectAltName", undefined],
  ]
  for (const level of levels)
    for (const [name, usernameFrom, certificate] of nameless)
      test(`level ${level}: ${usernameFrom}, ${name}`, () => {
        const { harness, asked, connect } = listening(usernameFrom)
        expect(told(connect(certificate, level))).toBe(level === 5 ? "connack 86, closed" : "connack 04, closed")
        expect([asked, harness.core.metrics.connectsRefused, harness.core.sessions.size]).toEqual([[], 1, 0])
        const why = `0x86 BadUserNameOrPassword: the certificate has no ${usernameFrom}`
        expect(harness.logged).toEqual([`info refused client (192.0.2.1) on test: ${why}`])
      })
  test("is no attempt at a password: whoever comes from there next does not have to wait", () => {
    const { connect } = listening("commonName")
    for (let i = 0; i < 9; i++) connect(undefined)
    expect(told(connect(full))).toBe("connack 00, open")
  })
})

/** A client that says nothing is memory, times ten thousand: here is of what. `bun run bench --only idle` says how much in all. */

import { estimateShallowMemoryUsageOf } from "bun:jsc"
import { describe, expect, test } from "bun:test"
import { Harness, type TestClient } from "../support/harness.ts"

/** What leads from one deadline to that of another connection. */
const links = ["previous", "next", "first", "last"]

/** The objects and functions that a connection leads to, its transport and what is in maps, sets and chains left out. */
function reached(client: TestClient): Set<object> {
  const found = new Set<object>([client.connection])
  for (const each of found) {
    for (const [name, value] of Object.entries(each)) {
      if (value instanceof Object && value !== client && !links.includes(name)) found.add(value)
    }
  }
  return found
}

/** Those that no other connection leads to. */
function ownObjects(level: 4 | 5, keepalive = 60): object[] {
  const harness = new Harness()
  const [one, other] = ["one", "other"].map((clientId) => harness.client(clientId, { level, keepalive }))
  return [...reached(one!).difference(reached(other!))]
}

const nameOf = (object: object) => object.constructor.name

/**
 * What these objects take, without the socket, strings and entries in the tables of the broker. A field takes 8 bytes, and the object
 * the next of the sizes that JavaScriptCore has (48, 64, 80, 112, 160, 224, 320, 448): one more is free, or costs as much as twelve.
 * What fails here may be worth it; it may as well belong into an object that is made when it is needed.
 */
const MOST_BYTES = { 4: 1056, 5: 1088 }

describe("a client that is in and has said nothing else", () => {
  // The arrays are what the session has not sent yet and what the socket has not taken, the object is the `Client`.
  const everywhere = [
    ...["Array", "Array", "Connection", "Entry", "Framer", "Inflight", "Link", "Map", "Object", "Outbox"],
    "Session",
  ]

  test.each([
    [4, everywhere],
    [5, [...everywhere, "IncomingAliases"]],
  ] as const)("v%d: has few objects of its own, no function, and nothing of its CONNECT", (level, names) => {
    expect(ownObjects(level).map(nameOf).sort()).toEqual([...names].sort())
  })

  test.each([4, 5] as const)("v%d: takes no more memory than it did", (level) => {
    const sizes = ownObjects(level).map((each) => ({ name: nameOf(each), bytes: estimateShallowMemoryUsageOf(each) }))
    const list = sizes.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")
    expect(
      sizes.reduce((sum, { bytes }) => sum + bytes, 0),
      list,
    ).toBeLessThanOrEqual(MOST_BYTES[level])
  })

  test("has no deadline where it has no keep-alive", () => {
    expect(ownObjects(4, 0).map(nameOf)).not.toContain("Entry")
  })
})

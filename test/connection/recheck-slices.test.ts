/** A change of decisions with many clients and subscriptions: it is heeded at once, looked at in slices, and others are served meanwhile. */
import { describe, expect, test } from "bun:test"
import type { Action } from "../../src/broker/ports.ts"
import { settled } from "../../src/testing/settled.ts"
import { openDoor, ways } from "../support/door.ts"
import { Harness } from "../support/harness.ts"
import { told } from "./wire.ts"

const CLIENTS = 10
const FILTERS = 100

/** Many clients with many subscriptions, of which some are forbidden when the test says so. */
async function many(give: (typeof ways)[number][1]) {
  const asked: string[] = []
  let isForbidden = (_: string, __: Action, ___: string) => false
  const harness = new Harness()
  const { listener, change } = openDoor(harness, {
    isCacheable: true,
    authorize({ clientId }, action, topic) {
      asked.push(`${clientId} ${action} ${topic}`)
      return give(!isForbidden(clientId, action, topic))
    },
  })
  const filters = Array.from({ length: FILTERS }, (_, i) => `t/${i}`)
  const clients = Array.from({ length: CLIENTS }, (_, i) => harness.client(`c${i}`, {}, listener).subscribe(filters))
  for (let i = 0; i < 20; i++) await settled()
  for (const client of clients) client.take()
  asked.length = 0
  const forbid = (rule: typeof isForbidden) => {
    isForbidden = rule
    return change()
  }
  /** Lets it all happen. */
  const rest = async () => {
    for (let i = 0; i < 50; i++) await settled()
  }
  return { harness, listener, clients, asked, forbid, rest }
}

for (const [when, give] of ways)
  describe(`with answers that come ${when}`, () => {
    test("not all is asked in one turn, others are served in between, and in the end all has been asked, once", async () => {
      const { harness, clients, asked, forbid, rest } = await many(give)
      const other = harness.client("other")
      await forbid((clientId, action, topic) => clientId === "c7" && action === "subscribe" && topic === "t/99")
      for (let turns = 0; turns < 2; turns++) {
        expect(asked.length).toBeLessThan((CLIENTS * FILTERS) / 2)
        expect(told(other.send({ cmd: "pingreq" }))).toBe("pingresp, open")
        await settled()
      }
      await rest()
      expect(asked).toHaveLength(CLIENTS * FILTERS)
      expect(new Set(asked).size).toBe(CLIENTS * FILTERS)
      expect(clients.map(told)).toEqual(clients.map((_, i) => (i === 7 ? "disconnect 87, closed" : "open")))
    })
    test("what is remembered is forgotten at once, by the last client too", async () => {
      const { clients, forbid, asked } = await many(give)
      const last = clients.at(-1)!.publish("p", "", { qos: 1 })
      await settled()
      await forbid((_, action) => action === "publish")
      expect(asked.some((question) => question.startsWith("c9 subscribe t/99"))).toBe(false)
      last.publish("p", "", { qos: 1 })
      await settled()
      expect(told(last)).toBe("puback 10, puback 87, open")
    })
    test("a client that leaves before its turn is not asked about any more", async () => {
      const { clients, asked, forbid, rest } = await many(give)
      await forbid(() => false)
      clients.at(-1)!.drop()
      asked.length = 0
      await rest()
      expect(asked.filter((question) => question.startsWith("c9"))).toEqual([])
    })
  })

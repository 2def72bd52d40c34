/** Long lists over HTTP, while clients are served. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { allowAll, tcp } from "../../src/index.ts"
import { closeBrokers } from "../listeners/brokers.ts"
import { RawClient } from "../listeners/socket.ts"
import { administered } from "../support/http.ts"

setDefaultTimeout(120_000)

const COUNT = 10_000
const LONGEST_STALL_MS = 50
/** A machine that is busy with something else stalls now and then; a list that stalls the broker does so each time. */
const ATTEMPTS = 20

let served: Awaited<ReturnType<typeof administered>>
let pinger: RawClient
beforeAll(async () => {
  served = await administered()
  const { core, broker } = served
  for (let n = 0; n < COUNT; n++) {
    const { session } = core.sessions.attach(`session ${n}`, false, 3600)
    core.subscribe(session, core.parseFilter(`t/${n}`)!, { topicFilter: `t/${n}`, ...OPTIONS }, undefined)
    session.disconnectedAt = core.now()
    await broker.publish(`kept/${n}`, `value ${n}`, { retain: true })
  }
  const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
  pinger = await RawClient.connect(port, "pinger")
})
afterAll(closeBrokers)

const OPTIONS = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

/** The longest that a ping has taken, one after the other, while something is done. */
async function longestPingMs(act: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let isDone = false
  const acting = act().finally(() => {
    isDone = true
  })
  acting.catch(() => {}) // it is awaited below
  while (!isDone) {
    const begunAt = performance.now()
    pinger.send({ cmd: "pingreq" })
    await pinger.next("pingresp")
    longest = Math.max(longest, performance.now() - begunAt)
  }
  await acting
  return longest
}

/** All items of a list, page by page. */
async function all(path: string): Promise<{ items: Record<string, string>[]; pages: number; total: number }> {
  const items: Record<string, string>[] = []
  let cursor: string | undefined
  for (let pages = 1; ; pages++) {
    const more = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`
    const { status, body } = await served.ask(`${path}${more}`)
    expect(status).toBe(200)
    items.push(...body.items)
    if (body.next === undefined) return { items, pages, total: body.total }
    cursor = body.next
  }
}

describe(`of ${COUNT.toLocaleString("en")}`, () => {
  for (const [path, name, total, pages] of [
    ["/api/v1/sessions?limit=1000&text=session", "clientId", COUNT, 10],
    ["/api/v1/sessions?limit=100&text=session", "clientId", COUNT, 100],
    ["/api/v1/subscriptions?limit=1000", "topicFilter", COUNT, 10],
    ["/api/v1/retained-messages?limit=1000&topicFilter=kept/%2B&previewBytes=100", "topic", COUNT, 10],
    ["/api/v1/sessions?text=77", "clientId", 280, 3],
  ] as const) {
    test(`${path} gives each once, in order, and nobody is stalled`, async () => {
      const longest: number[] = []
      while (longest.length < ATTEMPTS && !longest.some((ms) => ms < LONGEST_STALL_MS)) {
        longest.push(
          await longestPingMs(async () => {
            const list = await all(path)
            const names = list.items.map((item) => item[name]!)
            expect([list.total, names.length, list.pages]).toEqual([total, total, pages])
            expect(new Set(names).size).toBe(total)
            const ids = name === "topicFilter" ? list.items.map(({ clientId }) => clientId!) : names
            expect(ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)))
          }),
        )
      }
      console.log(`${path}: longest ping ${longest.map((ms) => ms.toFixed(1))} ms`)
      expect(Math.min(...longest)).toBeLessThan(LONGEST_STALL_MS)
    })
  }

  test("metrics, and a deletion of them all, stall nobody either", async () => {
    const longest: number[] = []
    while (longest.length < ATTEMPTS && !longest.some((ms) => ms < LONGEST_STALL_MS)) {
      for (let n = 0; n < COUNT; n++) void served.broker.publish(`gone/${n}`, "x", { retain: true })
      longest.push(
        await longestPingMs(async () => {
          for (let n = 0; n < 20; n++) expect((await served.ask("/metrics")).status).toBe(200)
          const { body } = await served.ask("/api/v1/retained-messages?topicFilter=gone/%23", { method: "DELETE" })
          expect(body).toEqual({ deleted: COUNT })
        }),
      )
    }
    console.log(`metrics and deletion: longest ping ${longest.map((ms) => ms.toFixed(1))} ms`)
    expect(Math.min(...longest)).toBeLessThan(LONGEST_STALL_MS)
  })
})

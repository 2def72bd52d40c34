/** The dashboard of a broker with ten thousand clients and as many topics: it shows parts of them, and is as quick as with ten. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { CDPSession, Page } from "playwright-core"
import { BlockPool } from "../../../src/connection/index.ts"
import { describeInBrowser } from "../../support/browser.ts"
import { becoming, live, visit, watched } from "../../support/dashboard.ts"
import { Harness, TestClient } from "../../support/harness.ts"

setDefaultTimeout(120_000)

const CLIENTS = 10_000

/** Clients without sockets, each with a session, a subscription and something retained. */
async function crowded() {
  const served = await watched()
  const [pool, serving] = [new BlockPool(), new Harness().listener()]
  const clients = Array.from({ length: CLIENTS }, (_, index) => {
    const clientId = `sensor-${String(index).padStart(5, "0")}`
    const client = new TestClient(served.core, pool, serving, 5).connect({ clientId, username: `user-${index % 100}` })
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: `commands/${index}`, qos: 1 }] })
    return client
  })
  const publish = (index: number, payload: string) => {
    const topic = `halls/${index % 10}/rows/${index % 100}/sensors/${index}`
    clients[index]!.send({ cmd: "publish", topic, payload, qos: 0, retain: true, dup: false })
  }
  for (let index = 0; index < CLIENTS; index++) publish(index, String(index))
  return { ...served, clients, publish }
}

/** What a page has had to do since it was looked at last. */
class Load {
  private readonly page: Page
  private readonly debug: CDPSession
  private before = 0

  private constructor(page: Page, debug: CDPSession) {
    this.page = page
    this.debug = debug
  }

  static async of(page: Page): Promise<Load> {
    const debug = await page.context().newCDPSession(page)
    await debug.send("Performance.enable", { timeDomain: "threadTicks" })
    await page.evaluate(`
      globalThis.longest = 0
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration)
      }).observe({ type: "longtask" })`)
    const load = new Load(page, debug)
    await load.take()
    return load
  }

  /** Milliseconds that the page's thread has worked, and its longest task, waiting for a processor included; how many elements there are. */
  async take(): Promise<{ workMs: number; longestMs: number; elements: number }> {
    const { metrics } = await this.debug.send("Performance.getMetrics")
    const total = metrics.find(({ name }) => name === "TaskDuration")!.value * 1000
    const workMs = total - this.before
    this.before = total
    const [longestMs, elements] = await this.page.evaluate<[number, number]>(
      "(() => { const now = longest; longest = 0; return [now, document.querySelectorAll('*').length] })()",
    )
    return { workMs, longestMs, elements }
  }
}

/** A page that shows all of ten thousand has many times that, one that shows parts of them a tenth. */
const MOST_ELEMENTS = 2_500
const MOST_WORK_MS = 800
/** By the clock, which goes on while a loaded machine does something else. */
const LONGEST_TASK_MS = 1_500

function expectLight(what: string, { workMs, longestMs, elements }: Awaited<ReturnType<Load["take"]>>): void {
  const heavy = [
    workMs > MOST_WORK_MS && `${Math.round(workMs)} ms of work`,
    longestMs > LONGEST_TASK_MS && `${Math.round(longestMs)} ms without an answer`,
    elements > MOST_ELEMENTS && `${elements} elements`,
  ]
  expect([what, heavy.filter(Boolean)]).toEqual([what, []])
}

describeInBrowser("with ten thousand clients", () => {
  test("no view freezes, while two thousand messages a second change what they show", async () => {
    const served = await crowded()
    const page = await served.open()
    await live(page)
    const load = await Load.of(page)
    let next = 0
    const traffic = setInterval(() => {
      for (let count = 0; count < 100; count++) served.publish((next += 7919) % CLIENTS, String(next))
    }, 50)
    try {
      for (const name of ["Overview", "Clients", "Topics", "Subscriptions", "Sessions", "Log"]) {
        await visit(page, name)
        await Bun.sleep(1100) // what comes in a second
        expectLight(name, await load.take())
      }
    } finally {
      clearInterval(traffic)
    }
  })

  test("one is found, looked at and sent away", async () => {
    const served = await crowded()
    const page = await served.open("#/clients", { expected: /status of 404/ })
    await page.getByText("1–50 of 10,000").waitFor()
    const load = await Load.of(page)
    await page.getByLabel("Search").fill("SENSOR-09999")
    await page.getByText("1 found").waitFor()
    await page.getByRole("link", { name: "sensor-09999" }).click()
    await page.getByRole("row", { name: "commands/9999" }).waitFor()
    await page.getByRole("button", { name: "Disconnect…" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click()
    await becoming(
      () => served.clients[9999]!.isEnded,
      (isEnded) => isEnded,
      "it to be sent away",
    )
    expectLight("the search", await load.take())
    expect(served.core.clients.size).toBe(CLIENTS - 1)
  })

  test("the tree of all their topics is opened, searched and walked to its end", async () => {
    const served = await crowded()
    const page = await served.open("#/topics?filter=halls/%23")
    await page.getByText("10,000 topics").waitFor()
    const load = await Load.of(page)
    await page.getByLabel("Search in names").fill("sensors") // opens all that have it
    await page.getByRole("treeitem").nth(10).waitFor()
    expectLight("the search", await load.take())
    await page.getByRole("tree").focus()
    await page.keyboard.press("End")
    await page.getByRole("treeitem").filter({ hasText: "9999" }).waitFor()
    expectLight("the end", await load.take())
    await page.getByLabel("Search in names").fill("")
    await becoming(
      () => page.getByRole("treeitem").count(),
      (count) => count === 1,
      "the tree to close again",
    )
    expectLight("the whole tree", await load.take())
  })
})

/** The dashboard in a browser, before a broker to which real clients come. What is open is closed after each test. */
import { afterEach } from "bun:test"
import type { Page } from "playwright-core"
import type { BrokerOptions } from "../../src/broker/options.ts"
import { type DashboardOptions, dashboard } from "../../src/http/index.ts"
import { allowAll, tcp } from "../../src/index.ts"
import { closeBrokers, serve } from "../listeners/brokers.ts"
import { closeWindows, type Look, openWindow } from "./browser.ts"
import { endClients } from "./mqttjs.ts"

/** Long, for a loaded machine. */
const PATIENCE_MS = 30_000

afterEach(async () => {
  endClients()
  try {
    await closeWindows() // before the broker, whose end pages would complain of
  } finally {
    await closeBrokers()
  }
})

/** Of a handler, what tells who listens. */
interface Streaming {
  readonly handler: { readonly live: { readonly streams: ReadonlySet<unknown> } }
}

/** A broker with a door for MQTT, and one for browsers. */
export async function watched(options: DashboardOptions = {}, brokerOptions: BrokerOptions = {}) {
  const web = dashboard({ port: 0, ...options })
  const served = await serve(web, brokerOptions)
  const { port } = await served.broker.listen(tcp({ port: 0, auth: allowAll() }))
  const url = `http://127.0.0.1:${served.port}/`
  return {
    ...served,
    /** Of the dashboard, and of MQTT over TCP. */
    webPort: served.port,
    port,
    url,
    /** Live streams that are open. */
    streams: () => (web as unknown as Streaming).handler.live.streams.size,
    /** Opens the dashboard at a view of it: `#/clients`. */
    open: (view = "", look: Look = {}) => openWindow(url + view, look),
  }
}

/** What `read` gives, as soon as it is right; fails after a generous time with what it was last. */
export async function becoming<Value>(
  read: () => Promise<Value> | Value,
  isRight: (value: Value) => boolean,
  what: string,
): Promise<Value> {
  const deadline = performance.now() + PATIENCE_MS
  for (let value = await read(); ; value = await read()) {
    if (isRight(value)) return value
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}; it is ${JSON.stringify(value)}`)
    await Bun.sleep(20)
  }
}

/** Waits until the page is live. */
export async function live(page: Page): Promise<void> {
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor()
}

/** Goes to a view by the menu, which a phone has to open. */
export async function visit(page: Page, name: string): Promise<void> {
  const menu = page.getByRole("navigation", { name: "Views" })
  const opener = menu.getByRole("button", { name: "Menu" })
  if (await opener.isVisible()) await opener.click()
  await menu.getByRole("link", { name, exact: true }).click()
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor()
}

/** The names of the views in the menu. */
export function viewsOf(page: Page): Promise<string[]> {
  return page.getByRole("navigation", { name: "Views" }).locator("a").allTextContents()
}

/** Waits until a dialog is out of the page, which it is a moment after it has closed. */
export function dialogGone(page: Page): Promise<void> {
  return page.locator("dialog").waitFor({ state: "detached" })
}

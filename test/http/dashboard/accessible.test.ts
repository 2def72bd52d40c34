/** Every view of the dashboard for whoever sees little, hears it, or has a small phone: axe has nothing to say, and nothing sticks out. */
import { setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { barriersOf, describeInBrowser, PHONE } from "../../support/browser.ts"
import { becoming, live, viewsOf, visit, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(120_000)

const LONG = "a-client-whose-name-is-as-long-as-some-gateways-have-it/0000-1111-2222-3333-4444-5555"
/** The views that are not in the menu, and views with something chosen in them. */
const places = [
  `#/client/${encodeURIComponent(LONG)}`,
  "#/client/nobody",
  "#/topics?topic=home/config",
  "#/topics?topic=home/temperature",
  `#/explain?${new URLSearchParams({ clientId: LONG, topic: "home/config" })}`,
  "#/clients?text=nobody",
  "#/nowhere",
]

/** Whatever is wider than the window, unless it is scrolled within. */
async function sticksOut(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`
    document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
      .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .map((one) => one.tagName + "." + one.className)`)
}

/** In light colours, and in dark ones, which change nothing but what can be told from its ground. */
async function check(page: Page, place: string): Promise<void> {
  const isNothing = (found: readonly string[]) => found.length === 0 // now or in a moment: a page answers to its size
  await becoming(() => barriersOf(page), isNothing, `no barrier in ${place}`)
  await becoming(() => sticksOut(page), isNothing, `nothing to stick out of ${place}`)
  await page.emulateMedia({ colorScheme: "dark" })
  await becoming(() => barriersOf(page, "color-contrast"), isNothing, `enough contrast in the dark in ${place}`)
  await page.emulateMedia({ colorScheme: "light" })
}

/** A broker with something to be seen in each view. */
async function peopled() {
  const served = await watched()
  const { client } = await connect(served.port, 5, {
    clientId: LONG,
    username: "somebody",
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    will: { topic: "wills/one", payload: Buffer.from("gone"), qos: 0, retain: false },
  })
  await client.subscribeAsync(["home/#", "a/rather/long/topic/filter/of/which/there/are/some/+/in/the/field/#"])
  await client.publishAsync("home/config", JSON.stringify({ name: "home", rooms: ["kitchen"], on: true, off: null }), {
    retain: true,
    qos: 1,
  })
  await client.publishAsync("home/temperature", "20.5", { retain: true, qos: 1 })
  const traffic = setInterval(
    () => client.publish("home/temperature", String(20 + Math.random()), { retain: true }),
    200,
  )
  return { ...served, [Symbol.dispose]: () => clearInterval(traffic) }
}

describeInBrowser("no view has a barrier, nor is wider than its window, in light and dark colours", () => {
  for (const [device, size] of [
    ["desktop", {}],
    ["phone", PHONE],
  ] as const) {
    test(`on a ${device}`, async () => {
      using served = await peopled()
      const page = await served.open("", { ...size, expected: /status of 404/ })
      const isThere = (place: string) =>
        becoming(
          () => page.getByText("Loading…").count(),
          (count) => count === 0,
          `${place} to be there`,
        )
      await live(page)
      await page.locator(".tile").first().waitFor()
      for (const name of await viewsOf(page)) {
        await visit(page, name)
        await isThere(name)
        await check(page, name)
      }
      for (const place of places) {
        await page.evaluate(`location.hash = ${JSON.stringify(place)}`)
        await isThere(place)
        await check(page, place)
      }
    })
  }

  test("nor have a dialog, the open menu of a phone and the login", async () => {
    using served = await peopled()
    const page = await served.open("#/clients", { ...PHONE, expected: /status of 404/ })
    await live(page)
    await page.getByRole("button", { name: "Menu" }).click()
    await check(page, "the menu")
    await page.getByRole("link", { name: "Sessions" }).click()
    await page
      .getByRole("button", { name: /Delete/ })
      .first()
      .click()
    await page.getByRole("dialog").waitFor()
    await check(page, "the dialog")
    const { open } = await watched({ admin: { token: "correct-horse-battery" } })
    const login = await open("", { ...PHONE, expected: /status of 401/ })
    await login.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
    await login.getByRole("textbox", { name: "Password" }).fill("wrong")
    await login.getByRole("button", { name: "Log in" }).click()
    await login.getByRole("alert").waitFor()
    await check(login, "the login")
  })
})

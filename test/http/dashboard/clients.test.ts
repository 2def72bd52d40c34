/** Who is connected, in a browser: found, looked at, sent away. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser } from "../../support/browser.ts"
import { becoming, dialogGone, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(60_000)

const idsOf = (page: Page) => page.getByRole("main").getByRole("rowheader").allInnerTexts()
const until = (page: Page, ids: readonly string[]) =>
  becoming(
    () => idsOf(page),
    (shown) => shown.join() === ids.join(),
    `the clients ${ids}`,
  )

describeInBrowser("clients", () => {
  test("are found by a part of their id, of their user's name and of their address", async () => {
    const { open, port } = await watched()
    await connect(port, 5, { clientId: "kitchen-1", username: "ada" })
    await connect(port, 4, { clientId: "kitchen-2", username: "bob" })
    await connect(port, 3, { clientId: "<b>attic</b>", username: "bob" })
    const page = await open("#/clients")
    await until(page, ["<b>attic</b>", "kitchen-1", "kitchen-2"])
    const search = page.getByLabel("Search")
    await search.fill("KITCHEN")
    await until(page, ["kitchen-1", "kitchen-2"])
    await search.fill("bob")
    await until(page, ["<b>attic</b>", "kitchen-2"])
    await search.fill("127.0.0.1")
    await until(page, ["<b>attic</b>", "kitchen-1", "kitchen-2"])
    await search.fill("cellar")
    await page.getByText("No client is like that.").waitFor()
    await page.reload() // the search is in the address
    await page.getByText("No client is like that.").waitFor()
    expect(await search.inputValue()).toBe("cellar")
  })

  test("are listed a page at a time", async () => {
    const { open, port } = await watched()
    const ids = Array.from({ length: 60 }, (_, index) => `client-${String(index).padStart(2, "0")}`)
    await Promise.all(ids.map((clientId) => connect(port, 5, { clientId })))
    const page = await open("#/clients")
    await until(page, ids.slice(0, 50))
    const pages = page.getByRole("navigation", { name: "Pages" })
    await pages.getByText("1–50 of 60").waitFor()
    await pages.getByRole("button", { name: "Next" }).click()
    await until(page, ids.slice(50))
    await pages.getByRole("button", { name: "Previous" }).click()
    await until(page, ids.slice(0, 50))
  })

  test("one is looked at: who it is, and what it is subscribed to", async () => {
    const { open, port } = await watched()
    const clientId = "an id/with ?# and ünïcode"
    const { client } = await connect(port, 5, { clientId, username: "ada" })
    await client.subscribeAsync({ "home/+/temperature": { qos: 1 } })
    const page = await open("#/clients")
    await page.getByRole("link", { name: clientId }).click()
    await page.getByRole("heading", { level: 1, name: clientId }).waitFor()
    await page.getByRole("row", { name: "home/+/temperature" }).waitFor()
    expect(await page.getByRole("region", { name: "Connection" }).textContent()).toContain("ada")
  })

  for (const view of ["#/clients", "#/client/victim"]) {
    test(`one is sent away from ${view}, once somebody has said yes, and is gone`, async () => {
      const { open, port, broker } = await watched()
      const { client } = await connect(port, 5, { clientId: "victim" })
      await connect(port, 5, { clientId: "witness" })
      const told = new Promise<string>((resolve) => {
        client.on("disconnect", ({ reasonCode, properties }) => resolve(`${reasonCode} ${properties?.reasonString}`))
      })
      const page = await open(view, { expected: /404/ }) // it is asked for again
      const asking = page.getByRole("button", { name: /^Disconnect( victim|…)$/ })
      const dialog = page.getByRole("dialog", { name: "Disconnect victim?" })

      await asking.click()
      await dialog.getByRole("button", { name: "Cancel" }).click()
      await dialogGone(page)
      expect(broker.client("victim")).toBeDefined()

      await asking.click()
      await dialog.getByLabel("Reason").fill("maintenance at noon")
      await dialog.getByRole("button", { name: "Disconnect" }).click()
      expect(await told).toBe(`${0x98} maintenance at noon`)
      await dialogGone(page)
      await page.getByText("victim is disconnected").waitFor()
      expect([broker.client("victim"), broker.client("witness")?.clientId]).toEqual([undefined, "witness"])
      if (view === "#/clients") await until(page, ["witness"])
      else await page.getByText("It is not connected.").waitFor()
    })
  }

  test("one that has left meanwhile is no longer there to be sent away, which is said", async () => {
    const { open, port, broker } = await watched()
    const { client } = await connect(port, 5, { clientId: "hasty" })
    const page = await open("#/clients", { expected: /404/ })
    await page.getByRole("button", { name: "Disconnect hasty" }).click()
    await client.endAsync()
    await becoming(
      () => broker.client("hasty"),
      (found) => found === undefined,
      "it to leave",
    )
    const dialog = page.getByRole("dialog")
    await dialog.getByRole("button", { name: "Disconnect" }).click()
    await dialog.getByRole("alert").filter({ hasText: "hasty" }).waitFor()
  })
})

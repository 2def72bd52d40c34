/** What somebody who looks after a broker does in the dashboard: a real process, real clients, a real browser. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { BrokerProcess, temporaryFolder } from "../../support/broker-process.ts"
import { describeInBrowser, openWindow } from "../../support/browser.ts"
import { becoming, dialogGone, live, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(60_000)

const doors = ["start", "--tcp", "0", "--no-ws", "--http", "0"]

describeInBrowser("with the command's broker", () => {
  test("the log is read as it is written, and searched, and its level is changed", async () => {
    await using broker = await BrokerProcess.run(...doors)
    await using page = await openWindow(`http://127.0.0.1:${broker.portOf("http")}/#/log`)
    await live(page)
    const lines = page.getByRole("log").locator(".line")
    const { client } = await connect(broker.port, 5, { clientId: "kitchen" })
    await lines.filter({ hasText: "kitchen" }).first().waitFor()
    await client.endAsync()
    await lines.filter({ hasText: /disconnected.*kitchen/ }).waitFor()
    await page.getByLabel("Search in lines").fill("disconnected")
    await becoming(
      () => lines.allTextContents(),
      (texts) => texts.length > 0 && texts.every((text) => text.includes("disconnected")),
      "only the lines with that",
    )
    const before = broker.logged.length
    await page.getByLabel("All lines").selectOption("error")
    await page.getByText("The log keeps other lines from now on.").waitFor()
    await connect(broker.port, 5, { clientId: "unsaid" })
    await page.getByLabel("Search in lines").fill("unsaid")
    await lines.filter({ hasText: "unsaid" }).waitFor() // the page sees what the log does not keep
    expect(broker.logged.slice(before)).not.toContain("unsaid")
  })

  test("access rules are changed, read again, and what they do is explained", async () => {
    using folder = temporaryFolder()
    const acl = join(folder.path, "acl")
    writeFileSync(acl, "topic readwrite home/#\n")
    await using broker = await BrokerProcess.run(...doors, "--acl", acl)
    const { client } = await connect(broker.port, 5, { clientId: "kitchen" })
    await client.subscribeAsync("home/#")
    const query = new URLSearchParams({ clientId: "kitchen", topic: "home/lamp" })
    await using page = await openWindow(`http://127.0.0.1:${broker.portOf("http")}/#/explain?${query}`)
    const [publishing, receiving] = ["Publishing", "Receiving"].map((name) => page.getByRole("region", { name }))
    await publishing!.getByText("Yes:").waitFor()
    await receiving!.getByText("Yes:").waitFor()
    writeFileSync(acl, "topic read home/#\n")
    await page.evaluate('location.hash = "#/broker"')
    await page.getByRole("button", { name: "Reload" }).click()
    await page.getByText("Reloaded.").waitFor()
    await page.goBack()
    await publishing!.getByText("No:").waitFor()
    await receiving!.getByText("Yes:").waitFor()
  })
})

describeInBrowser("somebody who operates", () => {
  test("deletes the session of a client that is away, with what waits for it", async () => {
    const { open, port, broker } = await watched()
    const properties = { sessionExpiryInterval: 3600 }
    const { client } = await connect(port, 5, { clientId: "sleeper", clean: false, properties })
    await client.subscribeAsync("home/#", { qos: 1 })
    await client.endAsync()
    await broker.publish("home/lamp", "on", { qos: 1 })
    const page = await open("#/sessions?isConnected=false")
    const row = page.getByRole("row", { name: "sleeper" })
    await row.waitFor()
    await page.getByRole("button", { name: "Delete the session of sleeper" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByText("1 message waits").waitFor()
    await dialog.getByRole("button", { name: "Delete" }).click()
    await dialogGone(page)
    expect(broker.admin.session("sleeper")).toBeUndefined()
    await row.waitFor({ state: "detached" })
  })

  test("finds out who gets a topic", async () => {
    const { open, port } = await watched()
    for (const [clientId, filter] of [
      ["wide", "home/#"],
      ["narrow", "home/lamp"],
      ["other", "work/#"],
    ] as const) {
      const { client } = await connect(port, 5, { clientId })
      await client.subscribeAsync(filter)
    }
    const page = await open("#/subscriptions")
    const clients = () => page.getByRole("table").getByRole("link").allTextContents()
    await becoming(clients, (ids) => ids.length === 3, "three subscriptions")
    await page.getByLabel("Matching a topic").fill("home/lamp")
    await becoming(clients, (ids) => ids.toSorted().join() === "narrow,wide", "two subscriptions")
  })

  test("changes a limit, and is told at the field what is not a number", async () => {
    const { open, broker } = await watched()
    const page = await open("#/broker", { expected: /status of 400/ })
    const limit = page.getByLabel("Maximum sessions")
    await limit.fill("many")
    await page.getByRole("button", { name: "Change 1" }).click()
    await becoming(
      () => limit.getAttribute("aria-invalid"),
      (isInvalid) => isInvalid === "true",
      "the field is wrong",
    )
    await limit.fill("5000")
    await page.getByRole("button", { name: "Change 1" }).click()
    await becoming(
      () => broker.admin.limits().maximumSessions,
      (sessions) => sessions === 5000,
      "the limit to hold",
    )
    await page.getByRole("button", { name: "Change", exact: true }).waitFor()
    expect(await limit.inputValue()).toBe("5000")
  })
})

/** The topic explorer and the publish form, in a browser, before a broker to which real clients publish. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser } from "../../support/browser.ts"
import { becoming, dialogGone, visit, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(60_000)

const item = (page: Page, name: string) => page.getByRole("treeitem").filter({ hasText: name }).first()
const detail = (page: Page, topic: string) => page.getByRole("region", { name: topic })

describeInBrowser("the topic explorer", () => {
  test("has a tree of what is retained, and of what is published while it is open", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5)
    await client.publishAsync("home/kitchen/name", "the kitchen", { retain: true })
    const page = await open("#/topics?filter=home/%23")
    await item(page, "home").waitFor()
    await client.publishAsync("home/attic/door", "shut")
    await becoming(
      () => page.getByText("2 topics").count(),
      (count) => count > 0,
      "two topics",
    )
    const tree = page.getByRole("tree")
    await tree.focus()
    await page.keyboard.press("ArrowRight")
    await item(page, "kitchen").locator(".twist").click()
    await item(page, "attic").locator(".twist").click()
    await item(page, "name").filter({ hasText: "the kitchen" }).waitFor()
    await item(page, "door").filter({ hasText: "shut" }).waitFor()
    expect(await item(page, "name").getByTitle("retained").count()).toBe(1)
    expect(await item(page, "door").getByTitle("retained").count()).toBe(0)
  })

  test("shows the value that a topic has now, and the ones before it", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5)
    await client.publishAsync("home/door", "open", { retain: true })
    const page = await open("#/topics?topic=home/door")
    const shown = detail(page, "home/door")
    await shown.locator("pre").filter({ hasText: "open" }).waitFor()
    await client.publishAsync("home/door", "shut", { retain: true, qos: 1 })
    await shown.locator("pre").filter({ hasText: "shut" }).waitFor()
    await client.publishAsync("home/door", "ajar", { qos: 1 })
    await shown.locator("pre").filter({ hasText: "ajar" }).waitFor()
    const history = shown.getByRole("table", { name: "Last values" }).getByRole("row")
    const values = () => history.allInnerTexts()
    await becoming(values, (rows) => /ajar/.test(rows[1] ?? "") && /shut/.test(rows[2] ?? ""), "both values")
  })

  test("shows JSON with a line for each part, and markup as text", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5)
    const payload = '{"b":[1,{"deep":null}],"big":12345678901234567890,"a":"<img src=x onerror=alert(1)>"}'
    await client.publishAsync("home/config", payload, { retain: true })
    const page = await open("#/topics?topic=home/config")
    const pre = detail(page, "home/config").locator("pre")
    await pre.waitFor()
    expect((await pre.textContent())!.trim()).toBe(
      [
        "{",
        '  "b": [',
        "    1,",
        "    {",
        '      "deep": null',
        "    }",
        "  ],",
        '  "big": 12345678901234567890,',
        '  "a": "<img src=x onerror=alert(1)>"',
        "}",
      ].join("\n"),
    )
    await page.getByLabel("Show").selectOption("text")
    await pre.filter({ hasText: payload }).waitFor()
  })

  test("draws numbers over time, one of those in JSON too, and says what they are", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5)
    const page = await open("#/topics?topic=home/weather")
    let celsius = 20
    const weather = setInterval(() => {
      client.publish("home/weather", JSON.stringify({ celsius: ++celsius, station: "roof", humidity: 55 }))
    }, 250)
    try {
      const drawing = detail(page, "home/weather").getByRole("img", { name: /celsius/ })
      await drawing.waitFor()
      const points = async () => (await drawing.locator("polyline").getAttribute("points"))!.trim().split(/\s+/).length
      await becoming(points, (count) => count >= 3, "a line of three points")
      await detail(page, "home/weather").getByLabel("Number").selectOption("humidity")
      await detail(page, "home/weather")
        .getByRole("img", { name: /humidity.*55/ })
        .waitFor()
    } finally {
      clearInterval(weather)
    }
  })

  test("deletes what is retained for a topic, once somebody has said yes", async () => {
    const { open, port, broker } = await watched()
    const { client } = await connect(port, 5)
    await client.publishAsync("home/old", "x", { retain: true, qos: 1 })
    const page = await open("#/topics?topic=home/old", { expected: /404/ })
    await page.getByRole("button", { name: "Delete the retained message…" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.waitFor()
    await page.keyboard.press("Escape")
    await dialogGone(page)
    expect(broker.admin.retainedMessage("home/old")?.text()).toBe("x")
    await page.getByRole("button", { name: "Delete the retained message…" }).click()
    await dialog.getByRole("button", { name: "Delete" }).click()
    await dialogGone(page)
    expect(broker.admin.retainedMessage("home/old")).toBeUndefined()
  })
})

describeInBrowser("publishing", () => {
  test("reaches subscribers, and is found in the explorer", async () => {
    const { open, port } = await watched()
    const { client, inbox } = await connect(port, 5)
    await client.subscribeAsync("home/#", { qos: 2 })
    const page = await open("#/publish")
    await page.getByLabel("Topic", { exact: true }).fill("home/kitchen/light")
    await page.getByLabel("Payload", { exact: true }).fill('{"on":true}')
    await page.getByLabel("QoS").selectOption("1")
    await page.getByLabel("Retain").check()
    await page.getByRole("button", { name: "Publish" }).click()
    const { topic, payload, qos } = await inbox.next()
    expect([topic, String(payload), qos]).toEqual(["home/kitchen/light", '{"on":true}', 1])
    const sent = page.getByRole("region", { name: "Published" }).getByRole("row", { name: "home/kitchen/light" })
    await sent.filter({ hasText: "1 matching subscription" }).waitFor()
    await sent.getByRole("link", { name: "home/kitchen/light" }).click()
    await page.getByRole("heading", { level: 1, name: "Topics" }).waitFor()
    await detail(page, "home/kitchen/light").locator("pre").filter({ hasText: '"on": true' }).waitFor()
  })

  test("says what cannot be published, at the field it stands in, and publishes nothing", async () => {
    const { open } = await watched()
    const page = await open("#/publish")
    await page.getByLabel("Topic", { exact: true }).fill("home/#")
    await page.getByLabel("Payload is", { exact: true }).selectOption("json")
    await page.getByLabel("Payload", { exact: true }).fill("{")
    await page.getByRole("button", { name: "Publish" }).click()
    for (const label of ["Topic", "Payload"]) {
      const field = page.getByLabel(label, { exact: true })
      await becoming(
        () => field.getAttribute("aria-invalid"),
        (isInvalid) => isInvalid === "true",
        `${label} is wrong`,
      )
      const hint = (await field.getAttribute("aria-describedby"))!.split(" ").at(-1)!
      expect((await page.locator(`[id="${hint}"]`).textContent())!.length).toBeGreaterThan(3)
    }
    await visit(page, "Topics") // and what was typed is still there afterwards
    await visit(page, "Publish")
    expect(await page.getByLabel("Topic", { exact: true }).inputValue()).toBe("home/#")
  })

  test("sends bytes that are no text, and an empty payload", async () => {
    const { open, port } = await watched()
    const { client, inbox } = await connect(port, 5)
    await client.subscribeAsync("raw")
    const page = await open("#/publish?topic=raw")
    await page.getByLabel("Payload is", { exact: true }).selectOption("hex")
    await page.getByLabel("Payload", { exact: true }).fill("00 ff 1f")
    await page.getByRole("button", { name: "Publish" }).click()
    expect((await inbox.next()).payload).toEqual(Buffer.from([0, 255, 31]))
    await page.getByLabel("Payload is", { exact: true }).selectOption("empty")
    await page.getByRole("button", { name: "Publish" }).click()
    expect((await inbox.next()).payload).toHaveLength(0)
  })
})

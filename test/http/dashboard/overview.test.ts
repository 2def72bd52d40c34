/** The overview, in a browser, of a broker through which messages go. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser } from "../../support/browser.ts"
import { becoming, live, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(60_000)

/** The number of a tile: `Clients`. */
async function tile(page: Page, title: string): Promise<number> {
  const value = page.locator(".tile").filter({ has: page.getByText(title, { exact: true }) })
  return Number.parseFloat((await value.locator("dd").textContent())!.replaceAll(",", ""))
}

/** How much of a chart is drawn, in pixels that are not empty. */
const inked = (page: Page, title: string) =>
  page
    .getByRole("region", { name: title })
    .locator("canvas")
    .evaluate((canvas) => {
      const { width, height } = canvas
      const copy = new canvas.ownerDocument.defaultView.OffscreenCanvas(width, height).getContext("2d", {
        willReadFrequently: true,
      })
      copy.drawImage(canvas, 0, 0)
      const { data } = copy.getImageData(0, 0, width, height)
      return data.reduce((sum: number, alpha: number, at: number) => (at % 4 === 3 && alpha > 0 ? sum + 1 : sum), 0)
    })

describeInBrowser("the overview", () => {
  test("counts who is there, and sees them come and go", async () => {
    const { open, port } = await watched()
    const page = await open()
    const clients = () => tile(page, "Clients")
    await page.locator(".tile").first().waitFor()
    expect(await clients()).toBe(0)
    const { client } = await connect(port, 5)
    await connect(port, 4)
    await becoming(clients, (count) => count === 2, "two clients")
    await client.endAsync()
    await becoming(clients, (count) => count === 1, "one client")
  })

  test("its numbers and charts move while messages go through the broker", async () => {
    const { open, port } = await watched()
    const page = await open()
    await page.locator(".tile").first().waitFor()
    const [publisher, subscriber] = [await connect(port, 5), await connect(port, 5, { clientId: "busy-subscriber" })]
    await subscriber.client.subscribeAsync("load/#")
    expect(await tile(page, "Messages out")).toBe(0)
    const drawn = await inked(page, "Messages per second")
    const load = setInterval(() => publisher.client.publish("load/a", "x".repeat(100)), 5)
    try {
      for (const title of ["Messages in", "Messages out"]) {
        await becoming(
          () => tile(page, title),
          (rate) => rate > 10,
          title,
        )
      }
      await becoming(
        () => inked(page, "Messages per second"),
        (pixels) => pixels > drawn,
        "a line in the chart",
      )
      const busiest = page.getByRole("region", { name: "Busiest clients now" })
      await busiest.getByRole("row", { name: "busy-subscriber" }).waitFor()
    } finally {
      clearInterval(load)
    }
    await becoming(
      () => tile(page, "Messages out"),
      (rate) => rate === 0,
      "the rate to fall",
    )
  })

  test("every chart says in words what it shows", async () => {
    const { open } = await watched()
    const page = await open()
    await live(page)
    await page.locator(".tile").first().waitFor()
    const titles = ["Messages per second", "Traffic per second", "Clients", "Latency", "Memory"]
    for (const title of [...titles, "Dropped and refused per second"]) {
      const legend = page.getByRole("region", { name: title }).getByRole("listitem")
      const words = await becoming(
        () => legend.allInnerTexts(),
        (lines) => lines.length > 0 && lines.every((line) => /\d/.test(line)),
        `the legend of ${title}`,
      )
      expect(words.length).toBeGreaterThan(0)
    }
  })
})

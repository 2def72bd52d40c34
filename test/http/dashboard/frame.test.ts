/** The dashboard's frame, in a browser: what holds wherever one is in it. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser, PHONE } from "../../support/browser.ts"
import { becoming, live, viewsOf, visit, watched } from "../../support/dashboard.ts"

setDefaultTimeout(60_000)

const background = (page: Page) => page.evaluate<string>("getComputedStyle(document.body).backgroundColor")
/** 0: black, 255: white. */
const lightness = async (page: Page) => {
  const parts = /(\d+), (\d+), (\d+)/
    .exec(await background(page))!
    .slice(1)
    .map(Number)
  return parts.reduce((sum, part) => sum + part, 0) / 3
}

describeInBrowser("the page", () => {
  test("comes from the broker alone, begins with the overview, and is live", async () => {
    const { open, streams } = await watched()
    const page = await open()
    await live(page)
    expect(await page.title()).toBe("Overview · manju")
    expect(await page.getByRole("link", { name: "Overview" }).getAttribute("aria-current")).toBe("page")
    expect(streams()).toBe(1)
  })

  test("has a policy by which nothing else runs in it", async () => {
    const { open } = await watched()
    const page = await open("", { expected: /policy|Content Security Policy/i })
    await live(page)
    const ran = await page.evaluate<string[]>(`(async () => {
      const ran = []
      globalThis.mark = (what) => ran.push(what)
      const add = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields))
      add("script", { textContent: "mark('a script in the page')" })
      add("script", { src: "data:text/javascript,mark('a script in its address')" })
      add("div", { innerHTML: "<img src='data:,' onerror=mark('an attribute')><p id=styled style='color: rgb(1, 2, 3)'>" })
      if (getComputedStyle(styled).color === "rgb(1, 2, 3)") mark("a style in the page")
      setTimeout("mark('a text as code')")
      await fetch("http://127.0.0.2:" + location.port + "/").then(() => mark("a request to another place"), () => {})
      await new Promise((resolve) => setTimeout(resolve, 300))
      return ran
    })()`)
    expect(ran).toEqual([])
  })

  test("is shown in no page of somebody else", async () => {
    const { url, open } = await watched()
    using other = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        new Response(`<title>a trap</title><iframe src="${url}">`, { headers: { "Content-Type": "text/html" } }),
    })
    const page = await open("", { expected: /127\.0\.0\.1|ERR_BLOCKED_BY|frame-ancestors/ })
    await page.goto(`http://127.0.0.1:${other.port}/`)
    const frame = page.frames().find((each) => each !== page.mainFrame())!
    expect(await frame.locator("body").textContent()).not.toContain("Overview")
  })

  for (const scheme of ["light", "dark"] as const) {
    test(`is ${scheme} where the system is, until somebody chooses`, async () => {
      const { open } = await watched()
      const page = await open("", { scheme })
      await live(page)
      const isDark = (value: number) => value < 100
      expect(isDark(await lightness(page))).toBe(scheme === "dark")
      const other = scheme === "dark" ? "light" : "dark"
      await page.getByLabel("Colours").selectOption(other)
      expect(isDark(await lightness(page))).toBe(other === "dark")
      await page.reload()
      expect(isDark(await lightness(page))).toBe(other === "dark")
      await page.getByLabel("Colours").selectOption("auto")
      expect(isDark(await lightness(page))).toBe(scheme === "dark")
    })
  }

  test("says where there is nothing, and leads back", async () => {
    const { open } = await watched()
    const page = await open("#/nowhere")
    for (const place of ["#/nowhere", "#/constructor", "#/__proto__"]) {
      await page.evaluate(`location.hash = "${place}"`)
      await page.getByRole("heading", { level: 1, name: "Nothing here" }).waitFor()
    }
    await page.getByRole("main").getByRole("link", { name: "Overview" }).click()
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
  })

  test("every view of the menu has its heading, its title and its mark, on a desktop and on a phone", async () => {
    const { open } = await watched()
    for (const look of [{}, PHONE]) {
      const page = await open("", look)
      for (const name of await viewsOf(page)) {
        await visit(page, name)
        const isTitled = (title: string) => title === `${name} · manju`
        await becoming(() => page.title(), isTitled, `the title of ${name}`)
        const marked = page.getByRole("navigation", { name: "Views" }).locator("[aria-current=page]")
        expect(await marked.textContent()).toBe(name)
      }
    }
  })
})

describeInBrowser("the stream", () => {
  /** As a browser tells a page whose tab goes behind another, which a browser without a window has not. */
  const setHidden = (page: Page, isHidden: boolean) =>
    page.evaluate(`
      Object.defineProperty(document, "hidden", { configurable: true, get: () => ${isHidden} })
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "${isHidden ? "hidden" : "visible"}" })
      document.dispatchEvent(new Event("visibilitychange"))`)

  test("ends while the tab is hidden, in which nothing is asked, and goes on when it is seen", async () => {
    const { open, streams } = await watched()
    const page = await open("#/clients")
    await live(page)
    expect(streams()).toBe(1)
    await setHidden(page, true)
    await becoming(streams, (open) => open === 0, "the stream to end")
    await page.getByRole("status").filter({ hasText: "Paused" }).waitFor()
    let asked = 0
    page.on("request", () => asked++)
    await Bun.sleep(3000) // longer than anything is shown
    expect([asked, streams()]).toEqual([0, 0])
    await setHidden(page, false)
    await live(page)
    expect(streams()).toBe(1)
  })

  test("is one, whatever has been looked at before, and ends with the page", async () => {
    const { open, streams } = await watched()
    const page = await open()
    for (const name of await viewsOf(page)) await visit(page, name)
    await live(page)
    await becoming(streams, (open) => open === 1, "one stream")
    await page.close()
    await becoming(streams, (open) => open === 0, "no stream")
  })

  test("comes back with the broker, and it is said that it was away", async () => {
    const first = await watched()
    const page = await first.open("", { expected: /ERR_|Failed to load/ })
    await live(page)
    await first.broker.close({ timeoutMs: 0 })
    await page.getByRole("status").filter({ hasText: "Not connected" }).waitFor()
    await watched({ port: first.webPort })
    await live(page)
  })
})

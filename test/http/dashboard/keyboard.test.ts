/** The dashboard without a mouse. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser, PHONE } from "../../support/browser.ts"
import { becoming, dialogGone, live, viewsOf, watched } from "../../support/dashboard.ts"
import { connect } from "../../support/mqttjs.ts"

setDefaultTimeout(60_000)

/** What has the focus: its name, and whether one sees that it has. */
interface Focused {
  readonly tag: string
  readonly name: string
  readonly isSeen: boolean
}

const focused = (page: Page) =>
  page.evaluate<Focused>(`(() => {
    const one = document.activeElement
    const { outlineStyle, outlineWidth } = getComputedStyle(one)
    const { width, height } = one.getBoundingClientRect()
    const label = one.labels?.[0]?.innerText
    return {
      tag: one.tagName.toLowerCase(),
      name: (one.getAttribute("aria-label") ?? label ?? one.innerText ?? "").trim(),
      isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && width > 1 && height > 1,
    }
  })()`)

/** Goes on with Tab until that has the focus; fails where it never does. */
async function tabTo(page: Page, name: string): Promise<void> {
  const passed: string[] = []
  for (let step = 0; step < 80; step++) {
    await page.keyboard.press("Tab")
    const { name: reached } = await focused(page)
    if (reached === name) return
    passed.push(reached)
  }
  throw new Error(`Tab does not lead to ${name}, but to ${passed.join(", ")}`)
}

/** Where Tab leads from the beginning of the page to its end. */
async function walk(page: Page): Promise<Focused[]> {
  const stops: Focused[] = []
  for (let step = 0; step < 200; step++) {
    await page.keyboard.press("Tab")
    const stop = await focused(page)
    if (stop.tag === "body") return stops
    stops.push(stop)
  }
  throw new Error(`Tab has no end: ${stops.map(({ name }) => name).join(", ")}`)
}

describeInBrowser("with the keyboard alone", () => {
  test("every stop of every view is seen and has a name, and there is a way past the menu", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5, { clientId: "kitchen" })
    await client.subscribeAsync("home/#")
    await client.publishAsync("home/config", '{"a":1}', { retain: true })
    const first = await open()
    const names = await viewsOf(first)
    await first.close()
    for (const name of names) {
      const page = await open(`#/${name.toLowerCase()}`)
      await page.getByRole("heading", { level: 1, name }).waitFor()
      await live(page)
      const stops = await walk(page)
      expect([name, stops.filter(({ isSeen, name }) => !isSeen || name === "")]).toEqual([name, []])
      expect(stops.map((stop) => stop.name).slice(0, 3)).toEqual(["Skip to content", "manju", names[0]!])
      await page.close()
    }
  })

  test("one goes from view to view, is where it begins, and skips the menu", async () => {
    const { open } = await watched()
    const page = await open()
    await live(page)
    await tabTo(page, "Publish")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { level: 1, name: "Publish" }).waitFor()
    await becoming(
      () => focused(page),
      ({ tag }) => tag === "main",
      "the focus on the view",
    )
    await tabTo(page, "Topic")
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await page.reload()
    await page.getByRole("heading", { level: 1, name: "Publish" }).waitFor()
    await tabTo(page, "Skip to content")
    await page.keyboard.press("Enter")
    await tabTo(page, "Topic")
  })

  test("a client is sent away; Escape is no, and the focus comes back to where it was", async () => {
    const { open, port, broker } = await watched()
    await connect(port, 5, { clientId: "victim" })
    const page = await open("#/clients")
    await page.getByRole("button", { name: "Disconnect victim" }).waitFor()
    const dialog = page.getByRole("dialog")
    await tabTo(page, "Disconnect victim")
    await page.keyboard.press("Enter")
    await dialog.waitFor()
    // Whatever is behind the dialog cannot be reached.
    for (let step = 0; step < 6; step++) {
      await page.keyboard.press("Tab")
      const isInside = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
      expect(await page.evaluate<boolean>(isInside)).toBe(true)
    }
    await page.keyboard.press("Escape")
    await dialogGone(page)
    expect(broker.client("victim")).toBeDefined()
    await becoming(
      () => focused(page),
      ({ name }) => name === "Disconnect victim",
      "the focus on the button",
    )
    await page.keyboard.press("Enter")
    await dialog.waitFor()
    await tabTo(page, "Disconnect")
    await page.keyboard.press("Enter")
    await dialogGone(page)
    await becoming(
      () => broker.client("victim"),
      (found) => found === undefined,
      "it to be gone",
    )
  })

  test("the tree of topics is walked by the arrows, by Home and End, and by letters", async () => {
    const { open, port } = await watched()
    const { client } = await connect(port, 5)
    for (const topic of ["home/attic/door", "home/kitchen/lamp", "home/kitchen/temperature", "work"]) {
      await client.publishAsync(topic, "1", { retain: true, qos: 1 })
    }
    const page = await open("#/topics")
    await page.getByRole("treeitem").nth(1).waitFor()
    await tabTo(page, "Delete retained…")
    await tabTo(page, "Topics") // the tree, behind it
    /** What a screen reader is told to be at. */
    const at = () =>
      page.evaluate<string>(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.innerText.split('\\n').find((line) => !/^[▸▾]?$/.test(line)) ?? ''",
      )
    const press = async (keys: string, expected: string) => {
      for (const key of keys.split(" ")) await page.keyboard.press(key)
      await becoming(at, (name) => name === expected, `${keys} to lead to ${expected}`)
    }
    await press("Home", "home")
    await press("ArrowRight ArrowRight", "attic")
    await press("ArrowDown", "kitchen")
    await press("ArrowRight ArrowRight ArrowDown", "temperature")
    await press("ArrowLeft", "kitchen")
    await press("ArrowLeft ArrowLeft", "home")
    await press("End", "work")
    await press("Home k", "kitchen")
    await press("ArrowRight ArrowRight ArrowDown", "temperature")
    await page.keyboard.press("Enter")
    await page.getByRole("region", { name: "home/kitchen/temperature" }).waitFor()
    expect(await page.getByRole("treeitem", { selected: true }).textContent()).toContain("temperature")
  })

  test("a phone's menu opens, and closes by Escape", async () => {
    const { open } = await watched()
    const page = await open("", PHONE)
    await live(page)
    const menu = page.getByRole("navigation", { name: "Views" })
    const isOpen = () => menu.getByRole("link", { name: "Clients" }).isVisible()
    expect(await isOpen()).toBe(false)
    await tabTo(page, "Menu")
    await page.keyboard.press("Enter")
    await becoming(isOpen, (open) => open, "the menu to open")
    await page.keyboard.press("Escape")
    await becoming(isOpen, (open) => !open, "the menu to close")
    expect((await focused(page)).name).toBe("Menu")
  })
})

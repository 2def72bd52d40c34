/**
 * Debian's chromium, without a window, in front of a page of the test: one a test file, with nothing remembered from one page to the next.
 * A page is at fault that says an error, throws one, breaks its Content-Security-Policy, or asks another place than its own.
 */
import { afterAll } from "bun:test"
import axe from "axe-core"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { describeWith } from "../clients/support.ts"

const path = Bun.which("chromium-headless-shell") ?? Bun.which("chromium")

/** `describe` where there is a chromium; where there is none, those tests are skipped, and in CI that is a failure. */
export const describeInBrowser = describeWith("chromium", path !== null, "apt-get install chromium-headless-shell")

/** Long, for a loaded machine: what is waited for is a condition. */
const PATIENCE_MS = 45_000

/** How a page is looked at. */
export interface Look {
  /** Pixels. Default: 1280 by 800. */
  width?: number
  height?: number
  /** Default: light. */
  scheme?: "light" | "dark"
  /** Faults that the test brings about, as a login that is refused. */
  expected?: RegExp
}

/** A small phone. */
export const PHONE = { width: 360, height: 740 } as const

/** Some break the policy and catch what is thrown at them. */
const tellViolations = `addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
  console.error("it breaks its policy:", effectiveDirective, blockedURI))`

let browser: Promise<Browser> | undefined
const windows: BrowserContext[] = []
const faults: string[] = []

afterAll(async () => {
  await (await browser)?.close()
  browser = undefined
})

/** Opens an address in a window of its own. */
export async function openWindow(url: string, look: Look = {}): Promise<Page> {
  const { width = 1280, height = 800, scheme = "light", expected } = look
  browser ??= chromium.launch({ executablePath: path!, args: ["--no-sandbox"], timeout: PATIENCE_MS })
  const viewport = { width, height }
  const window = await (await browser).newContext({ viewport, colorScheme: scheme, reducedMotion: "reduce" })
  windows.push(window)
  window.setDefaultTimeout(PATIENCE_MS)
  await window.addInitScript(tellViolations)
  watch(window, new URL(url).origin, expected)
  const page = await window.newPage()
  await page.goto(url)
  return page
}

function watch(window: BrowserContext, origin: string, expected: RegExp | undefined): void {
  const note = (fault: string) => {
    if (expected?.test(fault) !== true) faults.push(fault)
  }
  window.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) note(`${message.type()}: ${message.text()}`)
  })
  window.on("weberror", (thrown) => note(`thrown: ${thrown.error().stack ?? thrown.error()}`))
  window.on("request", (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && url.protocol !== "data:") note(`a request to ${url}`)
  })
}

/** For `afterEach`: closes what is open. Throws where a page was at fault. */
export async function closeWindows(): Promise<void> {
  await Promise.all(windows.splice(0).map((window) => window.close()))
  const found = faults.splice(0)
  if (found.length > 0) throw new Error(`the page is at fault:\n${found.join("\n")}`)
}

/** Whatever axe finds that keeps somebody out, by all its rules or by one, as `rule: where: what to do`. */
export async function barriersOf(page: Page, rule?: string): Promise<string[]> {
  await page.evaluate(axe.source) // as a debugger does it: the page's policy does not bind it, and binds the page as before
  const options = { resultTypes: ["violations"], preload: false, ...(rule !== undefined && { runOnly: [rule] }) }
  const { violations } = await page.evaluate<axe.AxeResults>(`axe.run(document, ${JSON.stringify(options)})`)
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary?.replaceAll(/\s+/g, " ")}`),
  )
}

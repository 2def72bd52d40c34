/** Who may see anything, in a browser: whoever has the token or the password, in one tab, until it is closed. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Page } from "playwright-core"
import { describeInBrowser } from "../../support/browser.ts"
import { becoming, live, watched } from "../../support/dashboard.ts"

setDefaultTimeout(60_000)

const TOKEN = "correct-horse-battery"
const PASSWORD = "staple correct: ü"
/** A browser says on its console what has been refused. */
const expected = /status of 401/

async function show(page: Page, way: "Token" | "Password", secret: string, user?: string): Promise<void> {
  await page.getByRole("radio", { name: way }).check()
  if (user !== undefined) await page.getByLabel("User").fill(user)
  await page.getByRole("textbox", { name: way }).fill(secret)
  await page.getByRole("button", { name: "Log in" }).click()
}

describeInBrowser("the login", () => {
  test("shows nothing of the broker before it", async () => {
    const { open, streams } = await watched({ admin: { token: TOKEN } })
    const page = await open("#/clients", { expected })
    await page.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
    expect(await page.getByRole("navigation").count()).toBe(0)
    expect(streams()).toBe(0)
  })

  test("lets nobody in with a wrong token, and who has the right one where they wanted to go", async () => {
    const { open, core } = await watched({ admin: { token: TOKEN } })
    const page = await open("#/clients", { expected })
    await show(page, "Token", "wrong-horse-battery")
    await page.getByRole("alert").filter({ hasText: "a wrong token or password" }).waitFor()
    expect(core.metrics.adminAuthFailures).toBe(1)
    const field = page.getByRole("textbox", { name: "Token" })
    expect([await field.inputValue(), await field.getAttribute("type")]).toEqual(["", "password"])
    await show(page, "Token", TOKEN)
    await live(page)
    await page.getByRole("heading", { level: 1, name: "Clients" }).waitFor()
  })

  test("takes a user's password with any characters", async () => {
    const { open } = await watched({ admin: { password: { user: "ädä", password: PASSWORD } } })
    const page = await open("", { expected })
    await show(page, "Password", PASSWORD, "ada")
    await page.getByRole("alert").waitFor()
    await show(page, "Password", PASSWORD, "ädä")
    await live(page)
  })

  test("is remembered in its tab, and in no other, and nowhere for longer", async () => {
    const { open, url } = await watched({ admin: { token: TOKEN } })
    const page = await open("", { expected })
    await show(page, "Token", TOKEN)
    await live(page)
    await page.reload()
    await live(page)
    const kept = await page.evaluate<string>("JSON.stringify(localStorage) + document.cookie + location.href")
    expect(kept).not.toContain(TOKEN)
    const other = await page.context().newPage()
    await other.goto(url)
    await other.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
  })

  test("ends with the logout, with all that was shown", async () => {
    const { open, streams } = await watched({ admin: { token: TOKEN } })
    const page = await open("", { expected })
    await show(page, "Token", TOKEN)
    await live(page)
    await page.getByRole("button", { name: "Log out" }).click()
    await page.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
    await becoming(streams, (open) => open === 0, "no stream")
    expect(await page.evaluate<string>("JSON.stringify(sessionStorage)")).not.toContain(TOKEN)
    await page.reload()
    await page.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
  })

  test("comes back when the token is no longer the right one", async () => {
    const first = await watched({ admin: { token: TOKEN } })
    const page = await first.open("", { expected: /ERR_|Failed to load/ })
    await show(page, "Token", TOKEN)
    await live(page)
    await first.broker.close({ timeoutMs: 0 })
    await watched({ port: first.webPort, admin: { token: `${TOKEN}-2` } })
    await page.getByRole("heading", { level: 1, name: "Log in" }).waitFor()
  })
})

describeInBrowser("without a token or a password", () => {
  test("who has come through a proxy is told what to set", async () => {
    const { open } = await watched()
    const page = await open("", { expected: /status of 403/ })
    await page.setExtraHTTPHeaders({ "X-Forwarded-For": "192.0.2.7" })
    await page.reload()
    await page.getByRole("heading", { level: 1, name: "Not from here" }).waitFor()
    expect(await page.getByRole("alert").textContent()).toContain("admin.token")
    expect(await page.getByRole("main").textContent()).toContain("MANJU_ADMIN_TOKEN")
  })
})

/** The dashboard's page as it is served: its files and their headers, to whom, and when they are made. */
import { afterEach, describe, expect, test } from "bun:test"
import { Page } from "../../src/http/page.ts"
import { closeBrokers } from "../listeners/brokers.ts"
import { administered, handled } from "../support/http.ts"

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const paths = ["/", "/dashboard.js", "/dashboard.css"]
/** What a first look takes over the network, all of it. */
const MOST_SENT_BYTES = 80_000

afterEach(closeBrokers)

describe("the page", () => {
  test("is at the listener's root, and its files beside it", async () => {
    const { ask } = await administered()
    const { status, headers, body } = await ask("/")
    expect([status, headers.get("content-type")]).toEqual([200, "text/html;charset=utf-8"])
    const named = Array.from(body.matchAll(/(?:src|href)="\.(\/[^"]*)"/g), ([, path]) => path)
    expect(named.sort()).toEqual(["/dashboard.css", "/dashboard.js"])
    const types = await Promise.all(named.map(async (path) => (await ask(path)).headers.get("content-type")))
    expect(types).toEqual(["text/css;charset=utf-8", "text/javascript;charset=utf-8"])
  })

  test("names nothing that is elsewhere, and has nothing that its policy forbids", async () => {
    const { ask } = await administered()
    const [page, , style] = await Promise.all(paths.map(async (path) => (await ask(path)).body))
    expect(page.match(/(?:src|href)="(?!\.\/|data:)[^"]*"|<style|style=|<script(?![^>]* src=)|\son\w+=/g)).toBeNull()
    expect(style.match(/@import|url\((?!["']?data:)/g)).toBeNull()
  })

  for (const path of paths) {
    test(`${path} says whose it is and what it may do`, async () => {
      const { ask } = await administered()
      expect((await ask(path)).headers.toJSON()).toMatchObject({
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
        vary: "Accept-Encoding",
      })
    })
  }

  test(`takes at most ${MOST_SENT_BYTES} bytes`, async () => {
    const { url } = await administered()
    const sizes = await Promise.all(paths.map((path) => sizeOf(url + path)))
    const sent = sizes.reduce((sum, size) => sum + size, 0)
    console.log(`${sent} bytes: ${sizes.join(", ")}`)
    expect(sent).toBeLessThanOrEqual(MOST_SENT_BYTES)
  })

  test("everybody may have, also where the API asks who it is", async () => {
    const { ask } = await handled({ token: "correct-horse-battery" }, "0.0.0.0")
    for (const path of paths) expect((await ask(path, { from: "192.0.2.7" })).status).toBe(200)
    expect((await ask("/api/v1/listeners", { from: "192.0.2.7" })).status).toBe(401)
  })

  test("is not there where there is nothing to administer", async () => {
    const { ask } = await handled(undefined)
    for (const path of paths) expect((await ask(path)).status).toBe(404)
  })

  for (const path of [
    "/index.html",
    "/dashboard.js.map",
    "/dashboard.js/",
    "//",
    "/..%2fpackage.json",
    "/favicon.ico",
  ]) {
    test(`there is no ${path}`, async () => {
      const { ask } = await handled({})
      expect((await ask(path)).status).toBe(404)
    })
  }

  test("can only be read", async () => {
    const { ask } = await administered()
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await ask("/", { method })
      expect([method, status, headers.get("allow")]).toEqual([method, 405, "GET, HEAD"])
    }
  })

  test("HEAD tells what GET would give", async () => {
    const { url } = await administered()
    for (const path of paths) {
      const [head, get] = await Promise.all(["HEAD", "GET"].map((method) => fetch(url + path, { method })))
      expect(await head!.text()).toBe("")
      const headersOf = ({ headers }: Response) => Array.from(headers).filter(([name]) => name !== "date")
      expect(headersOf(head!)).toEqual(headersOf(get!))
    }
  })
})

/** How many bytes a browser gets. */
async function sizeOf(url: string): Promise<number> {
  const response = await fetch(url, { headers: { "Accept-Encoding": "gzip, deflate, br, zstd" }, decompress: false })
  return (await response.bytes()).length
}

describe("compressed", () => {
  const raw = { decompress: false } as const

  for (const accepted of ["gzip", "br, gzip;q=0.5", "GZIP", "deflate,gzip"]) {
    test(`it is for whom accepts ${accepted}, and the same`, async () => {
      const { url } = await administered()
      const packed = await fetch(`${url}/dashboard.js`, { ...raw, headers: { "Accept-Encoding": accepted } })
      expect(packed.headers.get("content-encoding")).toBe("gzip")
      const plain = await fetch(`${url}/dashboard.js`, { ...raw, headers: { "Accept-Encoding": "identity" } })
      expect(Buffer.from(Bun.gunzipSync(await packed.arrayBuffer())).toString()).toBe(await plain.text())
    })
  }

  for (const accepted of ["identity", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip-not"]) {
    test(`it is not for whom accepts ${accepted}`, async () => {
      const { url } = await administered()
      const { headers } = await fetch(url, { ...raw, headers: { "Accept-Encoding": accepted } })
      expect(headers.get("content-encoding")).toBeNull()
    })
  }
})

describe("a browser that has it already", () => {
  const tagOf = async (url: string, accepted: string) =>
    (await fetch(url, { headers: { "Accept-Encoding": accepted } })).headers.get("etag")!

  test("is told so, by the tag of what it has, alone or in a list, weak or not, and by any", async () => {
    const { url } = await administered()
    const tag = await tagOf(url, "gzip")
    for (const tags of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
      const response = await fetch(url, { headers: { "Accept-Encoding": "gzip", "If-None-Match": tags } })
      expect([tags, response.status, await response.text()]).toEqual([tags, 304, ""])
      expect(response.headers.toJSON()).toMatchObject({
        etag: tag,
        "cache-control": "no-cache",
        vary: "Accept-Encoding",
      })
    }
  })

  test("gets it anew when it is another, or compressed in another way", async () => {
    const { url } = await administered()
    const others = ['"other"', await tagOf(url, "identity"), await tagOf(`${url}/dashboard.js`, "gzip")]
    for (const tags of others) {
      const { status } = await fetch(url, { headers: { "Accept-Encoding": "gzip", "If-None-Match": tags } })
      expect([tags, status]).toEqual([tags, 200])
    }
  })
})

describe("its files are made", () => {
  const file = { type: "text/html", text: "<p>" }
  const answer = async (page: Page) => (await page.answer(new Request("http://127.0.0.1/"), "/")).text()

  test("when somebody looks, and once, however many look at the same time", async () => {
    let made = 0
    const page = new Page(async () => {
      made++
      return { "index.html": file }
    })
    expect(made).toBe(0)
    expect(await Promise.all([answer(page), answer(page)])).toEqual(["<p>", "<p>"])
    expect([await answer(page), made]).toEqual(["<p>", 1])
  })

  test("anew, when it has failed before", async () => {
    let tries = 0
    const page = new Page(async () => {
      if (++tries === 1) throw new Error("no disk")
      return { "index.html": file }
    })
    expect(answer(page)).rejects.toThrow("no disk")
    expect(await answer(page)).toBe("<p>")
  })
})

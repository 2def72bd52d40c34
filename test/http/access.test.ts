/** Who may administer: what is shown, where from, and what a browser has been made to send. */
import { describe, expect, test } from "bun:test"
import type { Server } from "bun"
import type { AdminOptions } from "../../src/http/access.ts"
import { dashboard } from "../../src/http/index.ts"
import { type Asked, handled } from "../support/http.ts"
import { microtasks } from "../support/store.ts"

const TOKEN = "correct-horse-battery"
const PASSWORD = "staple correct: ü"
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`
const shown = (authorization: string): Asked => ({ headers: { Authorization: authorization } })
const API = "/api/v1/listeners"
const health = async (ask: (path: string) => Promise<{ status: number }>) =>
  Promise.all(["/healthz", "/readyz"].map(async (path) => (await ask(path)).status))

describe("without a token and a password", () => {
  for (const hostname of ["127.0.0.1", "127.0.0.53", "localhost", "::1"]) {
    test(`whoever reaches a listener on ${hostname} is let in`, async () => {
      const { ask } = await handled({}, hostname)
      expect([(await ask(API)).status, (await ask("/metrics")).status]).toEqual([200, 200])
    })
  }

  for (const hostname of ["0.0.0.0", "::", "192.0.2.1", "gateway.local", "127.example.com"]) {
    test(`nobody is let in by a listener on ${hostname}, and is told what to set; health is anybody's`, async () => {
      const { ask } = await handled({}, hostname)
      for (const path of [API, "/metrics", "/api/v1/openapi.json"]) {
        const { status, headers, body } = await ask(path)
        expect([path, status, headers.get("content-type")]).toEqual([path, 403, "application/problem+json"])
        expect(body).toMatchObject({ type: "urn:manju:not-open-to-others", status: 403 })
        expect(body.detail).toContain("admin.token")
      }
      expect(await health(ask)).toEqual([200, 200])
    })
  }

  for (const [host, status] of [
    ["localhost:8080", 200],
    ["127.0.0.1", 200],
    ["[::1]:8080", 200],
    ["evil.example:8080", 403],
    ["localhost.evil.example", 403],
    ["a%b", 403],
  ] as const) {
    test(`a name could point here by the will of whoever owns it: Host ${host} is answered with ${status}`, async () => {
      const { ask } = await handled({})
      expect((await ask(API, { headers: { Host: host } })).status).toBe(status)
    })
  }

  for (const name of ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"]) {
    test(`what has come through a proxy may come from anywhere: ${name}`, async () => {
      const { ask } = await handled({})
      const { status, body } = await ask(API, { headers: { [name]: "192.0.2.7" } })
      expect([status, body.type]).toEqual([403, "urn:manju:not-open-to-others"])
    })
  }

  test("a backup, which writes a file, is refused", async () => {
    const { ask } = await handled({})
    const { status, body } = await ask("/api/v1/backup", { method: "POST", json: { path: "/tmp/x.db" } })
    expect([status, body.type]).toEqual([403, "urn:manju:needs-credentials"])
  })
})

describe("with them", () => {
  const admin: AdminOptions = { token: TOKEN, password: { user: "ada", password: PASSWORD } }
  const right = [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, basic("ada", PASSWORD)]
  const wrong = [
    ...[`Bearer ${TOKEN}x`, `Bearer ${PASSWORD.slice(0, 6)}`, "Bearer x", basic("ada", TOKEN), basic("ada", "")],
    ...[basic("bob", PASSWORD), basic("", PASSWORD), basic("ada", `${PASSWORD} `), basic(TOKEN, TOKEN)],
  ]

  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    test(`whoever shows one of them is let in by a listener on ${hostname}`, async () => {
      const { ask } = await handled(admin, hostname)
      for (const authorization of right) {
        const from = { ...shown(authorization), from: "198.51.100.1" }
        expect([(await ask(API, from)).status, (await ask("/metrics", from)).status]).toEqual([200, 200])
      }
    })

    test(`whoever shows something else is not, by a listener on ${hostname}`, async () => {
      for (const authorization of wrong) {
        const { ask } = await handled(admin, hostname)
        const { status, headers, body } = await ask(API, shown(authorization))
        expect([authorization, status, body.type]).toEqual([authorization, 401, "urn:manju:unauthorized"])
        expect(headers.get("www-authenticate")).toContain('Basic realm="manju"')
      }
    })

    test(`whoever shows nothing is asked for it, by a listener on ${hostname}`, async () => {
      const { ask, core } = await handled(admin, hostname)
      for (const asked of [{}, shown("Negotiate abc"), shown("Basic"), shown("Bearer")]) {
        for (const path of [API, "/metrics", "/api/v1/live", "/api/v1/nowhere"]) {
          const { status, headers } = await ask(path, asked)
          expect([status, headers.get("www-authenticate")]).toEqual([401, expect.stringContaining("Bearer")])
        }
      }
      expect(core.metrics.adminAuthFailures).toBe(0)
      expect(await health(ask)).toEqual([200, 200])
    })
  }

  test("a name, and a proxy, are as good as an address", async () => {
    const { ask } = await handled(admin)
    const headers = { ...shown(right[0]!).headers, Host: "broker.example", "X-Forwarded-For": "192.0.2.7" }
    expect((await ask(API, { headers })).status).toBe(200)
  })

  test("only one of them set, the other lets nobody in", async () => {
    const byToken = await handled({ token: TOKEN })
    expect((await byToken.ask(API, shown(basic("ada", TOKEN)))).status).toBe(401)
    expect((await byToken.ask(API, shown(basic("", "")))).status).toBe(401)
    const byPassword = await handled({ password: { user: "ada", password: PASSWORD } })
    expect((await byPassword.ask(API, shown(`Bearer ${PASSWORD.slice(0, 6)}`))).status).toBe(401)
  })
})

describe("wrong ones", () => {
  test("are counted and logged, without what was shown", async () => {
    const { ask, core, logged } = await handled({ token: TOKEN })
    await ask(API, { ...shown("Bearer wrong-horse-battery"), from: "198.51.100.1" })
    expect(core.metrics.adminAuthFailures).toBe(1)
    expect(logged.filter((line) => line.includes("198.51.100.1"))).toHaveLength(1)
    expect(logged.join()).not.toMatch(/wrong-horse|correct-horse/)
  })

  test("after five of them an address has to wait, and others do not", async () => {
    const { ask, clock } = await handled({ token: TOKEN })
    const from = "198.51.100.1"
    for (let n = 0; n < 5; n++) await ask(API, { ...shown("Bearer wrong"), from })
    let status = 0
    const asking = ask(API, { ...shown(`Bearer ${TOKEN}`), from }).then((answer) => {
      status = answer.status
    })
    await microtasks()
    expect(status).toBe(0)
    expect((await ask(API, { ...shown(`Bearer ${TOKEN}`), from: "198.51.100.2" })).status).toBe(200)
    clock.advance(2)
    await asking
    expect(status).toBe(200)
  })

  test("who has been let in before from there does not wait", async () => {
    const { ask } = await handled({ token: TOKEN })
    const from = "198.51.100.1"
    expect((await ask(API, { ...shown(`Bearer ${TOKEN}`), from })).status).toBe(200)
    for (let n = 0; n < 5; n++) await ask(API, { ...shown("Bearer wrong"), from })
    expect((await ask(API, { ...shown(`Bearer ${TOKEN}`), from })).status).toBe(200)
  })

  test("so many at once that the wait would be long are turned away", async () => {
    const { ask, clock } = await handled({ token: TOKEN })
    const from = "198.51.100.1"
    for (let n = 0; n < 5; n++) await ask(API, { ...shown("Bearer wrong"), from })
    const asking = Array.from({ length: 20 }, () => ask(API, { ...shown("Bearer wrong"), from }))
    await microtasks()
    for (let second = 0; second < 10; second++) {
      clock.advance(1)
      await microtasks()
    }
    const answers = await Promise.all(asking)
    const busy = answers.filter(({ status }) => status === 429)
    expect(busy.length).toBeGreaterThan(10)
    expect([busy[0]!.body.type, busy[0]!.headers.get("retry-after")]).toEqual(["urn:manju:too-many", "5"])
  })
})

describe("what a page of another site has made a browser send is refused", () => {
  const foreign = [
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { Origin: "https://evil.example" },
    { Origin: "http://127.0.0.1:3000" },
    { Origin: "null" },
  ]
  const own = [
    { "Sec-Fetch-Site": "same-origin", Origin: "http://127.0.0.1:8080" },
    { "Sec-Fetch-Site": "none" },
    { Origin: "http://127.0.0.1:8080" },
    { "Sec-Fetch-Site": "same-origin", Origin: "https://front.example" },
    {},
  ]
  for (const admin of [{}, { token: TOKEN }] as AdminOptions[]) {
    const credentials = admin.token === undefined ? {} : { Authorization: `Bearer ${TOKEN}` }
    for (const method of ["GET", "POST", "DELETE", "PATCH", "OPTIONS"]) {
      test(`${method}, ${admin.token === undefined ? "on loopback" : "with the token"}`, async () => {
        const { ask } = await handled(admin)
        for (const headers of foreign) {
          const {
            status,
            headers: answered,
            body,
          } = await ask("/api/v1/limits", {
            ...{ method, headers: { ...credentials, ...headers } as Record<string, string> },
          })
          expect([headers, status, body.type]).toEqual([headers, 403, "urn:manju:other-site"])
          expect(answered.has("access-control-allow-origin")).toBe(false)
        }
      })
    }

    test(`and what its own page sends is not, ${admin.token === undefined ? "on loopback" : "with the token"}`, async () => {
      const { ask } = await handled(admin)
      for (const headers of own) {
        const asked = { headers: { ...credentials, ...headers } as Record<string, string> }
        expect((await ask("/api/v1/limits", { ...asked, method: "PATCH", json: {} })).status).toBe(200)
      }
    })
  }

  test("a form, which a page may send anywhere, is no request", async () => {
    const { ask } = await handled({})
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", undefined]) {
      const headers = type === undefined ? {} : { headers: { "Content-Type": type } }
      const { status, body } = await ask("/api/v1/publish", { method: "POST", body: '{"topic":"a"}', ...headers })
      expect([status, body.type]).toEqual([415, "urn:manju:not-json"])
    }
  })
})

describe("/metrics", () => {
  test("is everybody's where it is said so", async () => {
    for (const admin of [{ metrics: true }, { metrics: true, token: TOKEN }]) {
      const { ask } = await handled(admin, "0.0.0.0")
      expect((await ask("/metrics", { from: "198.51.100.1" })).status).toBe(200)
      expect((await ask(API)).status).toBeGreaterThanOrEqual(401)
    }
  })

  test("is nobody's where it is said so", async () => {
    const { ask } = await handled({ metrics: false })
    expect([(await ask("/metrics")).status, (await ask(API)).status]).toEqual([404, 200])
  })
})

test("admin: false leaves nothing but health", async () => {
  const { ask } = await handled(undefined)
  for (const path of ["/metrics", API, "/api/v1/openapi.json", "/api/v1/live"]) {
    expect([path, (await ask(path)).status]).toEqual([path, 404])
  }
  expect(await health(ask)).toEqual([200, 200])
})

describe("options that make no sense are refused", () => {
  for (const [admin, named] of [
    [{ token: "" }, "admin.token"],
    [{ token: "short" }, "admin.token"],
    [{ token: "with a space in the middle" }, "admin.token"],
    [{ token: "ünprintable-in-a-header" }, "admin.token"],
    [{ password: { user: "", password: "x" } }, "admin.password.user"],
    [{ password: { user: "a:b", password: "x" } }, "admin.password.user"],
    [{ password: { user: "ada", password: "" } }, "admin.password.password"],
  ] as [AdminOptions, string][]) {
    test(JSON.stringify(admin), () => {
      expect(() => dashboard({ admin })).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }))
      expect(() => dashboard({ admin })).toThrow(named)
    })
  }
})

test("no connection may stay for ever because of what was asked over it once, but for a live stream", async () => {
  const { handler } = await handled({})
  for (const [path, status, seconds] of [
    ["/api/v1/limits", 200, 10],
    ["/api/v1/nothing", 404, 10],
    ["/metrics", 200, 10],
    ["/api/v1/live", 200, 0],
  ] as const) {
    let last: number | undefined
    const timeout = (_: Request, given: number) => {
      last = given
    }
    const server = { requestIP: () => ({ address: "127.0.0.1" }), timeout } as unknown as Server<never>
    const request = new Request(`http://127.0.0.1:8080${path}`, { headers: { Host: "127.0.0.1:8080" } })
    const route = handler.routes[path === "/metrics" ? path : "/api/*"]!
    const response = await route(request, server)
    expect([path, response.status, last]).toEqual([path, status, seconds])
    await response.body?.cancel()
  }
})

/** How commands ask a running broker's admin API: what they show it, and what they say where something goes wrong. */
import { afterEach, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { AdminClient, ApiRefusal } from "../../src/cli/admin-client.ts"
import type { AdminFlags } from "../../src/cli/admin-options.ts"
import { temporaryFolder } from "../support/broker-process.ts"

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** A server that answers so. */
function served(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer })
  ends.push(() => server.stop(true))
  return `http://127.0.0.1:${server.port}`
}

/** The Authorization that is shown with these flags and variables. */
async function shown(flags: AdminFlags, environment: Record<string, string> = {}, user = ""): Promise<string | null> {
  const url = served((request) => Response.json(request.headers.get("authorization")))
  const client = await AdminClient.from({ url: url.replace("//", `//${user}`), ...flags }, environment)
  return client.get<string | null>("/api/v1/metrics")
}

async function failure(act: () => Promise<unknown>): Promise<Error> {
  try {
    await act()
  } catch (error) {
    return error as Error
  }
  throw new Error("it has not failed")
}

describe("what is shown", () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

  test("is nothing where nobody has said anything", async () => {
    expect(await shown({})).toBeNull()
  })

  test("is the token of the flag, of a file, of the environment, or of a file that it names", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "token")
    writeFileSync(path, "of-a-file-it-is\n")
    const environment = { MANJU_ADMIN_TOKEN: "of-the-environment" }
    expect(await shown({ token: "of-the-flag" }, environment)).toBe("Bearer of-the-flag")
    expect(await shown({ tokenFile: path }, environment)).toBe("Bearer of-a-file-it-is")
    expect(await shown({}, environment)).toBe("Bearer of-the-environment")
    expect(await shown({}, { MANJU_ADMIN_TOKEN_FILE: path })).toBe("Bearer of-a-file-it-is")
  })

  test("is the password of the URL, or of the environment, where there is no token", async () => {
    const environment = { MANJU_ADMIN_PASSWORD: "seven words" }
    expect(await shown({}, environment, "ada:p%40ss@")).toBe(basic("ada:p@ss"))
    expect(await shown({}, environment)).toBe(basic("admin:seven words"))
    expect(await shown({}, { ...environment, MANJU_ADMIN_USER: "ops" })).toBe(basic("ops:seven words"))
    expect(await shown({}, { ...environment, MANJU_ADMIN_TOKEN: "counts-for-more" })).toBe("Bearer counts-for-more")
  })

  test("is shown to nobody else: a redirection is not followed", async () => {
    let isAsked = false
    const other = served(() => {
      isAsked = true
      return Response.json({})
    })
    const url = served(() => Response.redirect(other, 307))
    const client = await AdminClient.from({ url, token: "secret-of-the-first" }, {})
    const { message } = await failure(() => client.get("/api/v1/metrics"))
    expect([message, isAsked]).toEqual([`${url} answers as no manju does (307); --url says where one is`, false])
  })
})

describe("what is asked", () => {
  test("has the query, without what there is not, and a body in JSON", async () => {
    const url = served(async (request) => {
      const { search } = new URL(request.url)
      return Response.json([request.method, search, request.headers.get("content-type"), await request.text()])
    })
    const client = await AdminClient.from({ url }, {})
    expect(await client.get<unknown>("/api/v1/x", { topic: "a/ü&b", n: 1, none: undefined })).toEqual([
      ...["GET", "?topic=a%2F%C3%BC%26b&n=1", null, ""],
    ])
    expect(await client.call<unknown>("POST", "/api/v1/x", { json: { a: 1 } })).toEqual([
      ...["POST", "", "application/json", '{"a":1}'],
    ])
  })

  test("may have no answer but that it is done", async () => {
    const client = await AdminClient.from({ url: served(() => new Response(null, { status: 204 })) }, {})
    expect(await client.call("DELETE", "/api/v1/x")).toBeUndefined()
  })

  test("goes where the environment says, if no flag says another place, and to loopback past every proxy", async () => {
    const url = served(() => Response.json("there"))
    const before = process.env.HTTP_PROXY
    process.env.HTTP_PROXY = "http://127.0.0.1:1"
    ends.push(() => {
      if (before === undefined) delete process.env.HTTP_PROXY
      else process.env.HTTP_PROXY = before
    })
    const client = await AdminClient.from({}, { MANJU_ADMIN_URL: url.replace("http://", "") })
    expect([client.place, await client.get<string>("/api/v1/x")]).toEqual([url, "there"])
  })
})

describe("what goes wrong", () => {
  test("is said as the broker says it, with its kind, and what to show it", async () => {
    const problem = { type: "urn:manju:unauthorized", status: 401, title: "Who?", detail: "show\u001b[31m the token" }
    const url = served(() => Response.json(problem, { status: 401 }))
    const refusal = (await failure(async () => (await AdminClient.from({ url }, {})).get("/x"))) as ApiRefusal
    expect(refusal).toBeInstanceOf(ApiRefusal)
    expect([refusal.status, refusal.kind as string, refusal.message]).toEqual([
      401,
      "unauthorized",
      `${url}: show\\x1b[31m the token; --token-file, or $MANJU_ADMIN_TOKEN, gives the token, $MANJU_ADMIN_PASSWORD the password`,
    ])
    const shown = await failure(async () => (await AdminClient.from({ url, token: "wrong" }, {})).get("/x"))
    expect(shown.message).toBe(`${url}: show\\x1b[31m the token`)
  })

  test.each([
    ["an answer of somebody else's", () => new Response("<html>", { status: 200 }), 200],
    ["a refusal of somebody else's", () => Response.json({ error: "?" }, { status: 404 }), 404],
  ])("%s is known for that", async (_, answer, status) => {
    const client = await AdminClient.from({ url: served(answer) }, {})
    const { message } = await failure(() => client.get("/x"))
    expect(message).toBe(`${client.place} answers as no manju does (${status}); --url says where one is`)
  })

  test("its certificate is in none of the authority's, because that file has none", async () => {
    const path = import.meta.path
    const { message } = await failure(() => AdminClient.from({ url: "https://localhost", cafile: path }, {}))
    expect(message).toBe(`${path}: there is no certificate in it`)
  })

  test("nobody listens, nobody answers, or the connection just ends", async () => {
    const silent = await AdminClient.from({ url: served(() => new Promise(() => {})) }, {})
    expect((await failure(() => silent.get("/x", {}, 50))).message).toBe(`cannot ask ${silent.place}: nobody answers`)
    const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1")
    await new Promise((resolve) => server.once("listening", resolve))
    ends.push(() => server.close())
    const { port } = server.address() as { port: number }
    const ending = await AdminClient.from({ url: `http://127.0.0.1:${port}` }, {})
    expect((await failure(() => ending.get("/x"))).message).toStartWith(
      `cannot ask http://127.0.0.1:${port}: it ended the connection without an answer`,
    )
    const nobody = await AdminClient.from({ url: "http://127.0.0.1:1" }, {})
    expect((await failure(() => nobody.get("/x"))).message).toStartWith(
      "cannot ask http://127.0.0.1:1: nothing listens",
    )
  })

  test.each(["mqtt://x", "http://x/path", "http://", "x y"])("%p is no URL of a broker", async (url) => {
    const { message } = await failure(() => AdminClient.from({ url }, {}))
    expect(message).toBe(`--url takes http[s]://[user:password@]host[:port], not ${url}`)
  })
})

describe("a live stream", () => {
  const stream = (text: string) =>
    served(() => new Response(text, { headers: { "Content-Type": "text/event-stream" } }))

  test("gives its events, until it ends", async () => {
    const url = stream('retry: 1000\n\nevent: figures\ndata: {"a":1}\n\nevent: log\ndata: []\n\n')
    const client = await AdminClient.from({ url }, {})
    const events = await Array.fromAsync(client.live("/api/v1/live", {}, new AbortController().signal))
    expect(events).toEqual([
      { name: "figures", data: { a: 1 } },
      { name: "log", data: [] },
    ])
  })

  test("ends without a word where whoever reads it has had enough", async () => {
    const body = new ReadableStream({ start: (controller) => controller.enqueue("event: log\ndata: 1\n\n") })
    const client = await AdminClient.from({ url: served(() => new Response(body)) }, {})
    const enough = new AbortController()
    const events: unknown[] = []
    for await (const { data } of client.live("/api/v1/live", {}, enough.signal)) {
      events.push(data)
      enough.abort()
    }
    expect(events).toEqual([1])
  })

  test("that is refused is a refusal", async () => {
    const problem = { type: "urn:manju:too-many", detail: "there are 32 live streams already" }
    const client = await AdminClient.from({ url: served(() => Response.json(problem, { status: 429 })) }, {})
    const { message } = await failure(() => Array.fromAsync(client.live("/x", {}, new AbortController().signal)))
    expect(message).toBe(`${client.place}: there are 32 live streams already`)
  })
})

/** `http(...)` and a service that fails: everything is refused, in bounded time and memory, and it is said once. */
import { describe, expect, spyOn, test } from "bun:test"
import { type HttpAuthOptions, http } from "../../src/auth/http.ts"
import type { Auth, Decision } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { eventually } from "../listeners/socket.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { QuestionedService } from "../support/questions.ts"

const unavailable = { reason: Reason.ServerUnavailable, reasonString: "who may come in cannot be asked now" }

function opened(url: string, options: Partial<HttpAuthOptions> = {}) {
  const context = new FakeAuthContext()
  const auth = http({ url, ...options })
  auth.open!(context)
  return { auth, context }
}

const decisionOf = async (auth: Auth, password = "secret"): Promise<Decision> =>
  await auth.authenticate(connecting("ada", password))

/** An answer that never ends; `cancelled` says when nobody reads it any more. */
function endless(chunk: Uint8Array) {
  const cancelled = Promise.withResolvers<void>()
  let sentBytes = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sentBytes += chunk.length
      controller.enqueue(chunk)
    },
    cancel: () => cancelled.resolve(),
  })
  return { body, cancelled: cancelled.promise, sentBytes: () => sentBytes }
}

describe("what is no clear answer is a refusal", () => {
  const zipped = Bun.gzipSync(JSON.stringify({ allow: true, padding: "x".repeat(1_000_000) }))
  const table: [what: string, answer: () => Response, problem: string][] = [
    ["500", () => new Response(null, { status: 500 }), "answers with status 500"],
    ["404", () => Response.json({ allow: true }, { status: 404 }), "answers with status 404"],
    ["201", () => Response.json({ allow: true }, { status: 201 }), "answers with status 201"],
    ["an empty answer", () => new Response(""), "answers with something that is not JSON"],
    ["no JSON", () => new Response("<p>allow: true, secret</p>"), "answers with something that is not JSON"],
    ["JSON cut short", () => new Response('{ "allow": true'), "answers with something that is not JSON"],
    ["null", () => Response.json(null), 'answers without "allow": true or false'],
    ["a list", () => Response.json([true]), 'answers without "allow": true or false'],
    ["no allow", () => Response.json({ ok: true }), 'answers without "allow": true or false'],
    ['allow: "true"', () => Response.json({ allow: "true" }), 'answers without "allow": true or false'],
    ["allow: 1", () => Response.json({ allow: 1 }), 'answers without "allow": true or false'],
    [
      "a user name that is none",
      () => Response.json({ allow: true, username: 5 }),
      'answers with what "username" cannot be',
    ],
    [
      "an empty user name",
      () => Response.json({ allow: true, username: "" }),
      'answers with what "username" cannot be',
    ],
    [
      "an end that is no time",
      () => Response.json({ allow: true, expiresAt: "2030" }),
      'answers with what "expiresAt" cannot be',
    ],
    [
      "a duration below zero",
      () => Response.json({ allow: true, expiresInSeconds: -1 }),
      'answers with what "expiresInSeconds" cannot be',
    ],
    ["too much", () => Response.json({ allow: true, x: "x".repeat(65_536) }), "answers with more than 65536 bytes"],
    [
      "much in little",
      () => new Response(zipped, { headers: { "content-encoding": "gzip" } }),
      "something that is not JSON",
    ],
  ]
  for (const [what, answer, problem] of table)
    test(what, async () => {
      await using service = new QuestionedService()
      service.answer = answer
      const { auth, context } = opened(service.url)
      expect(await decisionOf(auth)).toEqual(unavailable)
      expect(context.logged).toHaveLength(1)
      expect(context.logged[0]).toStartWith(`error: ${service.url} answers with`)
      expect(context.logged[0]).toContain(problem)
      expect(context.logged[0]).toEndWith("; what it would have to decide is refused until it answers")
      expect(context.logged[0]).not.toContain("secret")
    })

  test("nobody there", async () => {
    const service = new QuestionedService()
    const { url } = service
    await service.stop()
    const { auth, context } = opened(url)
    expect(await decisionOf(auth)).toEqual(unavailable)
    expect(context.logged).toEqual([
      `error: ${url} cannot be reached: ECONNREFUSED; what it would have to decide is refused until it answers`,
    ])
  })

  test("a connection that ends before the answer does", async () => {
    await using service = new QuestionedService()
    const held = service.hold()
    const { auth } = opened(service.url)
    const decision = decisionOf(auth)
    await eventually(() => service.questions.length === 1, "the question")
    await service.stop()
    expect(await decision).toEqual(unavailable)
    held(new Response())
  })

  test("an answer that breaks off", async () => {
    const half = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{ "allow": true }'
    const data = (socket: { end(data: string): void }) => socket.end(half)
    using service = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data } })
    const { auth, context } = opened(`http://127.0.0.1:${service.port}/`)
    expect(await decisionOf(auth)).toEqual(unavailable)
    expect(context.logged[0]).toContain("cannot be reached: ")
  })

  test("on topics it is a reason of its own, and it is not kept", async () => {
    await using service = new QuestionedService()
    const { auth } = opened(service.url)
    const ask = () => auth.authorize!(admitted("ada"), "publish", "a")
    service.answer = () => new Response(null, { status: 503 })
    expect(await ask()).toBe(Reason.ImplementationSpecificError)
    service.answer = () => Response.json({ allow: true })
    expect(await ask()).toBe(true)
  })
})

test("redirects are not followed, wherever they lead: a question may hold a password", async () => {
  await using elsewhere = new QuestionedService()
  await using service = new QuestionedService()
  for (const code of [301, 302, 303, 307, 308]) {
    for (const target of [elsewhere.url, `${service.url}/other`]) {
      service.answer = () => new Response(null, { status: code, headers: { location: target } })
      const { auth, context } = opened(service.url)
      expect(await decisionOf(auth)).toEqual(unavailable)
      expect(context.logged[0]).toContain(`answers with status ${code}`)
    }
  }
  expect(elsewhere.questions).toEqual([])
  expect(new Set(service.questions.map(({ url }) => url))).toEqual(new Set([service.url]))
})

test("an answer without end is read for a little while only", async () => {
  await using service = new QuestionedService()
  const answer = endless(Buffer.alloc(16_384, " "))
  service.answer = () => new Response(answer.body)
  const { auth } = opened(service.url)
  expect(await decisionOf(auth)).toEqual(unavailable)
  await answer.cancelled
  expect(answer.sentBytes()).toBeLessThan(64 * 1024 * 1024)
})

describe("an answer that does not come in time", () => {
  test("is a refusal, and its connection is given up", async () => {
    await using service = new QuestionedService()
    service.hold()
    const { auth, context } = opened(service.url, { timeoutMs: 20 })
    expect(await decisionOf(auth)).toEqual(unavailable)
    expect(context.logged).toEqual([
      `error: ${service.url} gives no answer within 20 ms; what it would have to decide is refused until it answers`,
    ])
    await eventually(() => service.questions.every(({ signal }) => signal.aborted), "the connection to be given up")
  })

  test("nor in whole", async () => {
    await using service = new QuestionedService()
    const begun = Buffer.from('{ "allow": true')
    const slow = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(begun) })
    service.answer = () => new Response(slow)
    const { auth, context } = opened(service.url, { timeoutMs: 20 })
    expect(await decisionOf(auth)).toEqual(unavailable)
    expect(context.logged[0]).toContain("no answer within 20 ms")
  })

  test("is waited for from the moment of the question, also while that waits its turn", async () => {
    await using service = new QuestionedService()
    service.hold()
    const { auth } = opened(service.url, { timeoutMs: 20, requestsAtOnce: 1 })
    const decisions = ["a", "b", "c", "d"].map((password) => decisionOf(auth, password))
    expect(await Promise.all(decisions)).toEqual(Array(4).fill(unavailable))
    service.answer = () => Response.json({ allow: true })
    const { auth: patient } = opened(service.url)
    expect(await decisionOf(patient)).toEqual({ authenticated: true })
  })

  test("is not waited for either where its request cannot be given up", async () => {
    using _ = spyOn(globalThis, "fetch").mockImplementation(
      Object.assign(() => new Promise<Response>(() => {}), { preconnect: fetch.preconnect }),
    )
    const { auth } = opened("http://127.0.0.1/", { timeoutMs: 20 })
    expect(await decisionOf(auth)).toEqual(unavailable)
  })

  test("makes room for the next", async () => {
    await using service = new QuestionedService()
    const { auth } = opened(service.url, { timeoutMs: 100, requestsAtOnce: 1 })
    service.hold()
    expect(await decisionOf(auth)).toEqual(unavailable)
    service.answer = () => Response.json({ allow: false })
    let decision: Decision
    do decision = await decisionOf(auth)
    while (decision !== false) // the machine may be slow
  })
})

test("questions that wait for their turn are bounded in number", async () => {
  await using service = new QuestionedService()
  service.hold()
  const { auth, context } = opened(service.url, { requestsAtOnce: 1, timeoutMs: 60_000 })
  const waiting = Array.from({ length: 20_001 }, (_, index) => decisionOf(auth, String(index)))
  expect(await decisionOf(auth, "one more")).toEqual(unavailable)
  expect(context.logged[0]).toContain("has 20000 questions waiting already")
  auth.close!()
  expect(new Set((await Promise.all(waiting)).map((each) => JSON.stringify(each)))).toEqual(
    new Set([JSON.stringify(unavailable)]),
  )
})

describe("an outage", () => {
  test("is logged when it begins and when it is over, not for every client", async () => {
    await using service = new QuestionedService()
    const { auth, context } = opened(`${service.url}?key=HIDDEN`)
    service.answer = () => new Response(null, { status: 500 })
    for (let count = 0; count < 5; count++) await decisionOf(auth)
    expect(await auth.authorize!(admitted("ada"), "publish", "a")).toBe(Reason.ImplementationSpecificError)
    service.answer = () => Response.json({ allow: true })
    for (let count = 0; count < 3; count++) await decisionOf(auth)
    expect(context.logged).toEqual([
      `error: ${service.url} answers with status 500; what it would have to decide is refused until it answers`,
      `info: ${service.url} answers again; 6 questions were refused`,
    ])
  })

  test("that lasts is logged once, and the next counts from the beginning", async () => {
    await using service = new QuestionedService()
    const { auth, context } = opened(service.url)
    for (const failures of [3, 2]) {
      service.answer = () => new Response(null, { status: 500 })
      for (let count = 0; count < failures; count++) {
        await decisionOf(auth)
        context.clock.advance(60)
      }
      service.answer = () => Response.json({ allow: true })
      await decisionOf(auth)
    }
    const levels = context.logged.map((line) => line.replace(/:.*;/, ":"))
    expect(levels).toEqual([
      "error: what it would have to decide is refused until it answers",
      "info: 3 questions were refused",
      "error: what it would have to decide is refused until it answers",
      "info: 2 questions were refused",
    ])
  })

  test("that comes and goes is logged every ten seconds at most", async () => {
    await using service = new QuestionedService()
    const { auth, context } = opened(service.url)
    for (let round = 0; round < 21; round++) {
      service.answer = () => new Response(null, { status: 500 })
      await decisionOf(auth)
      service.answer = () => Response.json({ allow: true })
      await decisionOf(auth)
      context.clock.advance(1)
    }
    const counts = Object.groupBy(context.logged, (line) => line.slice(0, 4))
    expect([counts.erro?.length, counts.info?.length]).toEqual([3, 3])
  })
})

describe("closing it", () => {
  test("gives up what is under way, without a word", async () => {
    await using service = new QuestionedService()
    service.hold()
    const { auth, context } = opened(service.url, { requestsAtOnce: 1 })
    const decisions = [decisionOf(auth, "a"), decisionOf(auth, "b")]
    await eventually(() => service.questions.length === 1, "the question")
    auth.close!()
    expect(await Promise.all(decisions)).toEqual([unavailable, unavailable])
    expect(context.logged).toEqual([])
    expect(service.questions.length).toBe(1)
  })

  test("ends it until it is opened again, which it is by one broker", async () => {
    const { auth, context } = opened("http://127.0.0.1:1/")
    expect(() => auth.open!(context)).toThrow("each broker needs its own")
    auth.close!()
    await expect(decisionOf(auth)).rejects.toThrow("http() is not open")
    expect(() => auth.authorize!(admitted(), "publish", "a")).toThrow("http() is not open")
    auth.open!(context)
  })
})

describe("options that cannot be are an error", () => {
  const url = "http://127.0.0.1/"
  const table: [options: HttpAuthOptions, problem: string][] = [
    [{ url: "" }, '"url" takes an address that begins with http:// or https://'],
    [{ url: "127.0.0.1:80" }, '"url" takes an address that begins with http:// or https://'],
    [{ url: "ftp://127.0.0.1/" }, '"url" takes an address that begins with http:// or https://'],
    [{ url: "http://ada:HIDDEN@127.0.0.1/" }, '"url" takes no user name or password: put them into "headers"'],
    [{ url, timeoutMs: 0 }, '"timeoutMs" takes 1 to 60000'],
    [{ url, timeoutMs: Number.NaN }, '"timeoutMs" takes 1 to 60000'],
    [{ url, cacheSeconds: -1 }, '"cacheSeconds" takes 0 to 86400'],
    [{ url, cacheEntries: 0 }, '"cacheEntries" takes 1 to 1000000'],
    [{ url, requestsAtOnce: 0 }, '"requestsAtOnce" takes 1 to 1000'],
    [{ url, headers: { authorization: "HIDDEN\r\nx: y" } }, '"headers" has a name or a value that HTTP does not allow'],
  ]
  for (const [options, problem] of table)
    test(problem, () => {
      expect(() => http(options)).toThrow(`http: ${problem}`)
      expect(() => http(options)).not.toThrow("HIDDEN")
    })

  test("a URL may be an object", () => {
    expect(() => http({ url: new URL("https://127.0.0.1/mqtt") })).not.toThrow()
  })
})

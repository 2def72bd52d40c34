import { afterEach, describe, expect, test } from "bun:test"
import { allowAll, Broker, dashboard, ManjuError, memory, tcp } from "../../src/index.ts"
import { WebListener } from "../../src/listeners/web.ts"
import { handled } from "../support/http.ts"
import { LateStore } from "../support/store.ts"
import { eventually } from "./socket.ts"

const open: Broker[] = []
afterEach(async () => {
  for (const broker of open.splice(0)) await broker.close({ timeoutMs: 100 })
})

async function served(store = memory()) {
  const broker = new Broker({ store })
  open.push(broker)
  const { port } = await broker.listen(dashboard({ port: 0 }))
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return [response.status, await response.text()]
  }
  return { broker, port, ask }
}

describe("the HTTP listener", () => {
  test("says that the broker lives and is ready", async () => {
    const { ask } = await served()
    expect(await ask("/healthz")).toEqual([200, "ok\n"])
    expect(await ask("/readyz")).toEqual([200, "ready\n"])
  })

  test("/readyz is 503 while the store fails, and 200 when it works again; /healthz stays", async () => {
    const store = new LateStore()
    const { broker, ask } = await served(store)
    const published = broker.publish("t", "x", { qos: 1, retain: true })
    await eventually(() => store.pending.length > 0, "the commit")
    store.pending.shift()!.reject(new Error("disk full"))
    await eventually(() => store.pending.length > 0, "the next attempt")
    expect(await ask("/readyz")).toEqual([503, "the store fails\n"])
    expect(await ask("/healthz")).toEqual([200, "ok\n"])
    await store.commitAll()
    await published
    expect(await ask("/readyz")).toEqual([200, "ready\n"])
  })

  test("is asked by HEAD as well, and nobody keeps what it says", async () => {
    const { port } = await served()
    for (const path of ["/healthz", "/readyz"]) {
      for (const method of ["GET", "HEAD"]) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
        const { status, headers } = response
        const said = [status, headers.get("cache-control"), headers.get("connection")]
        expect([path, method, ...said]).toEqual([path, method, 200, "no-store", "close"])
        expect((await response.text()) === "").toBe(method === "HEAD")
      }
    }
  })

  test("/readyz is 503 from the moment that the broker stops", async () => {
    const { broker, ask } = await handled({})
    expect((await ask("/readyz")).status).toBe(200)
    const closed = broker.close()
    const { status, body } = await ask("/readyz")
    expect([status, body]).toEqual([503, "stopping\n"])
    await closed
  })

  test("a request that is being answered when the broker stops is answered, and its connection ends", async () => {
    for (const path of ["/route", "/else"]) {
      const { promise: answer, resolve: give } = Promise.withResolvers<Response>()
      const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
      const fetched = () => {
        ask()
        return answer
      }
      const handler = { routes: { "/route": fetched }, fetch: fetched, close() {} }
      const broker = new Broker()
      open.push(broker)
      const { port } = await broker.listen(new WebListener({ id: "web", port: 0 }, undefined, () => handler))
      const response = fetch(`http://127.0.0.1:${port}${path}`)
      await asked
      const closed = broker.close()
      give(new Response("late"))
      const { headers } = await response
      expect([path, headers.get("connection"), await (await response).text()]).toEqual([path, "close", "late"])
      await closed
    }
  })

  test("knows nothing else", async () => {
    const { ask } = await served()
    expect((await ask("/nothing"))[0]).toBe(404)
  })

  test("refuses a port that is in use with an error that names it", async () => {
    const { broker, port } = await served()
    const error = await broker.listen(dashboard({ port })).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ManjuError)
    expect(error).toMatchObject({ code: "LISTEN_FAILED" })
    expect(String(error)).toContain(`127.0.0.1:${port}: the port is in use`)
  })

  test("a service that publishes while the store fails is told so, unless nothing must be stored", async () => {
    const store = new LateStore()
    const { broker } = await served(store)
    await broker.listen(tcp({ port: 0, auth: allowAll() }))
    const first = broker.publish("t", "x", { qos: 1, retain: true })
    await eventually(() => store.pending.length > 0, "the commit")
    store.pending.shift()!.reject(new Error("disk full"))
    await eventually(() => store.pending.length > 0, "the next attempt")
    const error = await broker.publish("t", "y", { qos: 1, retain: true }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "STORE_FAILED" })
    await broker.publish("t", "z")
    await store.commitAll()
    await first
    const later = broker.publish("t", "y", { qos: 1, retain: true })
    await eventually(() => store.pending.length > 0, "the commit")
    await store.commitAll()
    await later
  })
})

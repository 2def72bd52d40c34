import { afterEach, describe, expect, test } from "bun:test"
import { allowAll, Broker, dashboard, ManjuError, memory, tcp } from "../../src/index.ts"
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

  test("knows nothing else", async () => {
    const { ask } = await served()
    expect((await ask("/"))[0]).toBe(404)
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

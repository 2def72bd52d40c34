import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { Broker, sqlite } from "../../../src/index.ts"
import { coreOf, eventually } from "../../listeners/socket.ts"
import { temporaryFolder } from "../../support/broker-process.ts"

describe("sqlite()", () => {
  test("counts the bytes that it writes, on Linux", async () => {
    using folder = temporaryFolder()
    const store = sqlite(join(folder.path, "bytes.db"))
    for await (const _ of store.load());
    const before = store.bytesWritten!
    await store.commit([{ kind: "total", name: "n", value: 1 }])
    const small = store.bytesWritten! - before
    const message = { id: 1, topic: "t", payload: new Uint8Array(1_000_000), properties: new Uint8Array(0) } as const
    const rest = { qos: 1, retain: true, expirySeconds: undefined, expiresAt: undefined } as const
    await store.commit([{ kind: "retained", message: { ...message, ...rest } }])
    await store.close()
    expect(small).toBeGreaterThanOrEqual(4096) // a page of the log
    expect(small).toBeLessThan(100_000)
    expect(store.bytesWritten! - before - small).toBeGreaterThan(1_000_000)
  })

  test("the sum goes on with the next run", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "sum.db")
    const run = async () => {
      const broker = new Broker({ store: sqlite(path) })
      await broker.publish("t", new Uint8Array(100_000), { qos: 1, retain: true })
      await broker.close()
      return coreOf(broker).metrics.storeBytesWritten
    }
    const first = await run()
    expect(first).toBeGreaterThan(100_000)
    expect(await run()).toBeGreaterThan(first + 100_000)
  })

  test("when its thread dies what it was asked fails, and the next question is answered by another", async () => {
    using folder = temporaryFolder()
    const store = sqlite(join(folder.path, "thread.db"))
    for await (const _ of store.load());
    await store.commit([{ kind: "total", name: "n", value: 1 }])
    const { worker } = store as unknown as { worker: Worker }
    const asked = store.commit([{ kind: "total", name: "n", value: 2 }]).catch((error: Error) => error.message)
    worker.terminate()
    expect(await asked).toSatisfy((answer) => answer === undefined || String(answer).includes("thread has died"))
    await eventually(() => (store as unknown as { worker?: Worker }).worker === undefined, "the thread's end")
    await store.commit([{ kind: "total", name: "n", value: 3 }])
    const totals: unknown[] = []
    for await (const item of store.load()) if (item.kind === "total") totals.push(item)
    expect(totals).toEqual([{ kind: "total", name: "n", value: 3 }])
    await store.close()
  })

  test("a file that cannot be opened is refused with STORE_FAILED, by whatever needs it first", async () => {
    using folder = temporaryFolder()
    const broker = new Broker({ store: sqlite(join(folder.path, "nowhere", "x.db")) })
    const error = await broker.publish("t", "x").catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "STORE_FAILED" })
    expect(String(error)).toContain("nowhere")
    await broker.close()
  })

  test("is copied without a pause of its commits, and never over a file that is there", async () => {
    using folder = temporaryFolder()
    const store = sqlite(join(folder.path, "original.db"))
    await store.commit([{ kind: "total", name: "n", value: 1 }])
    const to = join(folder.path, "copy.db")
    const copying = store.backup!(to)
    await store.commit([{ kind: "total", name: "n", value: 2 }])
    await copying
    const copy = sqlite(to)
    const totals: unknown[] = []
    for await (const item of copy.load()) if (item.kind === "total") totals.push(item.name)
    expect(totals).toEqual(["n"])
    await copy.close()
    for (const mine of ["mine", ""]) {
      await Bun.write(to, mine)
      const error = await store.backup!(to).catch((reason: Error) => reason.message)
      expect([error, await Bun.file(to).text()]).toEqual([`${to} is there already`, mine])
    }
    await store.close()
  })
})

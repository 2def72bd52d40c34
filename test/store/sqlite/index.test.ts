import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Broker, sqlite } from "../../../src/index.ts"
import { coreOf } from "../../listeners/socket.ts"

const folder = mkdtempSync(join(tmpdir(), "manju-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("sqlite()", () => {
  test("counts the bytes that it writes, on Linux", async () => {
    const store = sqlite(join(folder, "bytes.db"))
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
    const path = join(folder, "sum.db")
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

  test("a file that cannot be opened is refused with STORE_FAILED, by whatever needs it first", async () => {
    const broker = new Broker({ store: sqlite(join(folder, "nowhere", "x.db")) })
    const error = await broker.publish("t", "x").catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "STORE_FAILED" })
    expect(String(error)).toContain("nowhere")
    await broker.close()
  })
})

import { afterAll, describe, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { memory, sqlite } from "manju"
import { storeConformance } from "manju/store-conformance"

const folder = mkdtempSync(join(tmpdir(), "manju-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let places = 0

describe("a store keeps what it is given: memory()", () => {
  const cases = storeConformance(() => {
    const store = memory()
    return { open: () => store }
  })
  for (const { name, run } of cases) test(name, run)
})

describe("a store keeps what it is given: sqlite()", () => {
  const cases = storeConformance(() => {
    const path = join(folder, `${places++}.db`)
    return { open: () => sqlite(path) }
  })
  for (const { name, run } of cases) test(name, run)
})

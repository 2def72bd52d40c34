import { expect, test } from "bun:test"
import { sampleProcess } from "../../scripts/bench/proc.ts"

test("a sample of a process counts how often it was woken", async () => {
  const before = sampleProcess(process.pid)
  await Bun.sleep(1)
  expect(sampleProcess(process.pid).wakeUps).toBeGreaterThan(before.wakeUps)
})

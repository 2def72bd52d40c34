/** The gate: so many at once, the others in turn by network, and of one in their order. */
import { describe, expect, test } from "bun:test"
import { Gate } from "../../src/auth/gate.ts"
import { microtasks } from "../support/store.ts"

const ADDRESS = "192.0.2.1"

/** Jobs that end when the test says so. */
class Jobs {
  readonly begun: number[] = []
  readonly results: Promise<number>[] = []
  private readonly ends = new Map<number, (error?: Error) => void>()

  /** So many of one address, or one of each of these. */
  constructor(gate: Gate, whose: number | readonly string[]) {
    const addresses = typeof whose === "number" ? Array.from({ length: whose }, () => ADDRESS) : whose
    for (const [job, address] of addresses.entries()) this.results.push(gate.run(address, () => this.begin(job)))
  }

  async end(job: number, error?: Error): Promise<void> {
    this.ends.get(job)!(error)
    await microtasks()
  }

  private begin(job: number): Promise<number> {
    this.begun.push(job)
    return new Promise((resolve, reject) => {
      this.ends.set(job, (error) => (error === undefined ? resolve(job) : reject(error)))
    })
  }
}

describe("a gate", () => {
  test("lets so many jobs run at once, and the next one when one of them has ended, in their order", async () => {
    const jobs = new Jobs(new Gate(2, 10), 5)
    await microtasks()
    expect(jobs.begun).toEqual([0, 1])
    await jobs.end(1)
    expect(jobs.begun).toEqual([0, 1, 2])
    await jobs.end(0)
    await jobs.end(2)
    expect(jobs.begun).toEqual([0, 1, 2, 3, 4])
    await jobs.end(4)
    await jobs.end(3)
    expect(await Promise.all(jobs.results)).toEqual([0, 1, 2, 3, 4])
  })

  test("goes on after a job that has failed, and gives its error to who asked for it", async () => {
    const jobs = new Jobs(new Gate(1, 10), 2)
    jobs.results[0]!.catch(() => {})
    await microtasks()
    await jobs.end(0, new Error("out of memory"))
    expect(jobs.begun).toEqual([0, 1])
    await jobs.end(1)
    expect(await Promise.allSettled(jobs.results)).toMatchObject([
      { reason: { message: "out of memory" } },
      { value: 1 },
    ])
  })

  test("gives back the places of all that have ended", async () => {
    const gate = new Gate(2, 10)
    const before = new Jobs(gate, 3)
    await microtasks()
    for (const job of [0, 1, 2]) await before.end(job)
    const after = new Jobs(gate, 3)
    await microtasks()
    expect(after.begun).toEqual([0, 1])
  })

  test("is full for an address when as many of it wait as may, and no longer when one of them is let through", async () => {
    const gate = new Gate(2, 3)
    const jobs = new Jobs(gate, 4)
    expect(gate.isFullFor(ADDRESS)).toBe(false)
    const last = new Jobs(gate, 1)
    expect(gate.isFullFor(ADDRESS)).toBe(true)
    expect(gate.isFullFor("192.0.2.2")).toBe(false)
    await microtasks()
    await jobs.end(0)
    expect(gate.isFullFor(ADDRESS)).toBe(false)
    expect(last.begun).toEqual([])
  })

  test("lets addresses take turns: who comes behind a thousand of another waits for one of them", async () => {
    const crowd = Array.from({ length: 1000 }, () => ADDRESS)
    const jobs = new Jobs(new Gate(1, 1000), [...crowd, "192.0.2.2", "192.0.2.2", "192.0.2.3", ADDRESS])
    await microtasks()
    for (let turn = 0; turn < 6; turn++) await jobs.end(jobs.begun.at(-1)!)
    expect(jobs.begun).toEqual([0, 1, 1000, 1002, 2, 1001, 3])
  })

  test("an address that has come to its end comes behind the others when it comes again", async () => {
    const gate = new Gate(1, 10)
    const jobs = new Jobs(gate, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"])
    await microtasks()
    await jobs.end(0)
    const again = new Jobs(gate, ["192.0.2.1", "192.0.2.2"])
    await jobs.end(1)
    expect([jobs.begun, again.begun]).toEqual([[0, 1, 2], []])
    await jobs.end(2)
    expect(again.begun).toEqual([0])
    await again.end(0)
    expect(again.begun).toEqual([0, 1])
    await again.end(1)
    expect(jobs.begun).toEqual([0, 1, 2, 3])
  })

  for (const [what, one, other, isOne] of [
    ["of a network of IPv6", "2001:db8:1:2::1", "2001:db8:1:2:ffff::1", true],
    ["of two networks of IPv6", "2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["at a Unix socket", "unix", "unix", true],
  ] as const)
    test(`addresses ${what} take turns as ${isOne ? "one" : "two"}`, async () => {
      const jobs = new Jobs(new Gate(1, 10), ["192.0.2.1", one, other, "192.0.2.2"])
      await microtasks()
      for (const job of [0, 1]) await jobs.end(job)
      expect(jobs.begun.at(-1)).toBe(isOne ? 3 : 2)
    })
})

/** The gate: so many at once, the others in their order. */
import { describe, expect, test } from "bun:test"
import { Gate } from "../../src/auth/gate.ts"
import { microtasks } from "../support/store.ts"

/** Jobs that end when the test says so. */
class Jobs {
  readonly begun: number[] = []
  readonly results: Promise<number>[] = []
  private readonly ends = new Map<number, (error?: Error) => void>()

  constructor(gate: Gate, count: number) {
    for (let job = 0; job < count; job++) this.results.push(gate.run(() => this.begin(job)))
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

  test("is full when as many wait as may, and no longer when one of them is let through", async () => {
    const gate = new Gate(2, 3)
    const jobs = new Jobs(gate, 4)
    expect(gate.isFull).toBe(false)
    const last = new Jobs(gate, 1)
    expect(gate.isFull).toBe(true)
    await microtasks()
    await jobs.end(0)
    expect(gate.isFull).toBe(false)
    expect(last.begun).toEqual([])
  })
})

import { describe, expect, test } from "bun:test"
import { Topic } from "../../src/router/index.ts"
import { Delivery } from "../../src/session/delivery.ts"
import { Inflight } from "../../src/session/inflight.ts"
import { Message } from "../../src/session/message.ts"
import { DeliveryQueue } from "../../src/session/queue.ts"
import { Random } from "../support/bytes.ts"

const topic = new Topic("t", Buffer.from("t"), 0)
const delivery = (payload = "") =>
  new Delivery(Message.create(topic, Buffer.from(payload), 1, false, {}, 0), 1, false, undefined, undefined)

describe("the window", () => {
  test("gives ids out in turn, from 1, never 0", () => {
    const inflight = new Inflight()
    const ids = Array.from({ length: 20 }, () => inflight.add(delivery()))
    expect(ids).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  })

  test("holds 65,535 at once, each under its own id", () => {
    const inflight = new Inflight()
    const held = new Map<number, Delivery>()
    for (let i = 0; i < 65_535; i++) {
      const each = delivery()
      held.set(inflight.add(each), each)
    }
    expect([held.size, held.has(0), inflight.count]).toEqual([65_535, false, 65_535])
    for (const [id, each] of held) if (inflight.get(id) !== each) throw new Error(`${id} is another`)
    inflight.remove(12_345)
    expect(inflight.add(delivery())).toBe(12_345)
  })

  test("knows nothing of ids that are free or none", () => {
    const inflight = new Inflight()
    expect(inflight.get(1)).toBeUndefined()
    const id = inflight.add(delivery())
    for (const other of [0, id + 1, id + 8, 65_535]) expect(inflight.get(other)).toBeUndefined()
    inflight.remove(id)
    expect(inflight.get(id)).toBeUndefined()
  })

  test("after the last id comes the first that is free", () => {
    const inflight = new Inflight()
    const kept = [inflight.add(delivery()), inflight.add(delivery())]
    const ids: number[] = []
    for (let i = 0; i < 140_000; i++) {
      const id = inflight.add(delivery())
      ids.push(id)
      inflight.remove(id)
    }
    expect(kept).toEqual([1, 2])
    expect(ids.filter((id) => id === 0 || kept.includes(id))).toEqual([])
    expect(ids.filter((id) => id === 65_535)).toHaveLength(2)
  })

  test("restored deliveries keep their ids, and new ones take others", () => {
    for (const restored of [
      [1, 9, 17, 25],
      [65_535, 7],
      [40_000, 3, 2, 1],
    ]) {
      const inflight = new Inflight()
      const held = new Map(restored.map((id) => [id, delivery()]))
      for (const [id, each] of held) inflight.restore(id, each)
      for (let i = 0; i < 100; i++) {
        const each = delivery()
        const id = inflight.add(each)
        expect(held.has(id)).toBe(false)
        held.set(id, each)
      }
      expect(new Map(inflight.all())).toEqual(held)
    }
  })

  test("agrees with a map, over random additions and removals", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed)
      const inflight = new Inflight()
      const held = new Map<number, Delivery>()
      const window = 1 + random.below(300)
      for (let step = 0; step < 2000; step++) {
        if (held.size < window && (held.size === 0 || random.below(2) === 0)) {
          const each = delivery()
          const id = inflight.add(each)
          if (id < 1 || id > 65_535 || held.has(id)) throw new Error(`seed ${seed}: ${id} is in use`)
          held.set(id, each)
        } else {
          const ids = [...held.keys()]
          const id = ids[random.below(ids.length)]!
          if (inflight.get(id) !== held.get(id)) throw new Error(`seed ${seed}: ${id} is another`)
          inflight.remove(id)
          held.delete(id)
        }
        if (inflight.count !== held.size) throw new Error(`seed ${seed}: ${inflight.count} of ${held.size}`)
      }
      expect(new Map(inflight.all())).toEqual(held)
    }
  })
})

describe("the queue", () => {
  test("is first in, first out, knows its length and its weight, and takes back in front", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed)
      const queue = new DeliveryQueue()
      const expected: Delivery[] = []
      for (let step = 0; step < 500; step++) {
        const action = random.below(seed % 2 === 0 ? 3 : 5)
        if (action === 0) expect(queue.shift()).toBe(expected.shift())
        else if (action === 1) {
          const each = delivery("x".repeat(random.below(100)))
          queue.unshift(each)
          expected.unshift(each)
        } else {
          const each = delivery("x".repeat(random.below(100)))
          queue.push(each)
          expected.push(each)
        }
        expect(queue.length).toBe(expected.length)
        expect(queue.first).toBe(expected[0])
      }
      expect([...queue]).toEqual(expected)
      expect(queue.bytes).toBe(expected.reduce((sum, { message }) => sum + message!.sizeBytes, 0))
      while (expected.length > 0) expect(queue.shift()).toBe(expected.shift())
      expect([queue.shift(), queue.length, queue.bytes]).toEqual([undefined, 0, 0])
    }
  })
})

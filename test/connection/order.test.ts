import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

const levels = [3, 4, 5] as const
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `${from + index}`)

/** Acknowledges everything that has come, in order and to the end; gives the payloads of what was new. */
function answerAll(client: TestClient, most = Number.POSITIVE_INFINITY): string[] {
  const payloads: string[] = []
  for (let packets = client.take(); packets.length > 0; packets = client.take()) {
    for (const { cmd, messageId, qos, payload } of packets) {
      if (cmd === "pubrel") client.ack("pubcomp", messageId!)
      if (cmd !== "publish") continue
      payloads.push(`${payload}`)
      if (qos > 0) client.ack(qos === 1 ? "puback" : "pubrec", messageId!)
      if (payloads.length === most) return payloads
    }
  }
  return payloads
}

describe("[MQTT-4.6.0-5] [v3.1.1 MQTT-4.6.0-6] messages of one client, topic and QoS keep their order", () => {
  for (const level of levels)
    for (const qos of [0, 1, 2] as const) {
      test(`level ${level}, QoS ${qos}: straight through`, () => {
        const harness = new Harness()
        const subscriber = harness.client("sub", { level }).subscribe("a", { qos })
        subscriber.take()
        const publisher = harness.client("pub", { level })
        for (const payload of numbers(100)) publisher.publish("a", payload, { qos })
        expect(answerAll(subscriber)).toEqual(numbers(100))
      })

      test(`level ${level}, QoS ${qos}: through a socket that is full`, () => {
        const harness = new Harness()
        const subscriber = harness.client("sub", { level }).subscribe("a", { qos })
        subscriber.take()
        subscriber.capacity = 10
        const publisher = harness.client("pub", { level })
        for (const payload of numbers(100)) publisher.publish("a", payload, { qos })
        for (let i = 0; i < 50; i++) subscriber.drain(33)
        subscriber.drain()
        expect(answerAll(subscriber)).toEqual(numbers(100))
      })
    }

  for (const level of levels)
    for (const qos of [1, 2] as const)
      test(`level ${level}, QoS ${qos}: through a small window, a queue and reconnects`, () => {
        const harness = new Harness({ limits: { maximumInflight: 3 } })
        let subscriber = harness.client("sub", durable(level)).subscribe("a", { qos })
        subscriber.take()
        const publisher = harness.client("pub", { level })
        const first: string[] = []
        for (let from = 0; from < 100; from += 20) {
          for (const payload of numbers(20, from)) publisher.publish("a", payload, { qos })
          first.push(...answerAll(subscriber, 7))
          subscriber.drop()
          subscriber = harness.resume("sub", durable(level))
        }
        first.push(...answerAll(subscriber))
        // what was sent again may come twice; the first of each are in order
        expect([...new Set(first)]).toEqual(numbers(100))
        expect(harness.core.inflightCount).toBe(0)
      })

  test("through a decision on each message that takes its time", async () => {
    const open: (() => void)[] = []
    const auth: Auth = {
      authenticate: () => true,
      authorize: (_, action) =>
        action === "publish" ? new Promise<boolean>((resolve) => open.push(() => resolve(true))) : true,
    }
    const harness = new Harness({ auth })
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    subscriber.take()
    const publisher = harness.client("pub")
    for (const payload of numbers(10)) publisher.publish("a", payload, { qos: 1 })
    while (open.length > 0) {
      open.pop()!()
      await microtasks()
    }
    expect(answerAll(subscriber)).toEqual(numbers(10))
    expect(publisher.take().map(({ messageId }) => `${messageId}`)).toEqual(numbers(10, 1))
  })

  test("through decisions on what the receiver may have that are made out of order", async () => {
    const open: (() => void)[] = []
    const auth: Auth = {
      authenticate: () => true,
      authorize: (_, action) =>
        action === "receive" ? new Promise<boolean>((resolve) => open.push(() => resolve(true))) : true,
    }
    const harness = new Harness({ auth })
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    subscriber.take()
    const publisher = harness.client("pub")
    for (const payload of numbers(10)) publisher.publish("a", payload, { qos: 1 })
    for (const decide of open.splice(0).reverse()) {
      decide()
      await microtasks()
    }
    expect(answerAll(subscriber)).toEqual(numbers(10))
  })
})

describe("[MQTT-4.6.0-6] [v3.1.1 MQTT-4.6.0-5] every topic is ordered", () => {
  for (const level of levels)
    test(`level ${level}: also beside others, and through filters that overlap`, () => {
      const harness = new Harness({ limits: { maximumInflight: 2 } })
      const subscriber = harness.client("sub", { level }).subscribe(["a/#", "a/1", "+/2"], { qos: 2 })
      subscriber.take()
      const publisher = harness.client("pub", { level })
      for (const payload of numbers(60)) publisher.publish(`a/${Number(payload) % 3}`, payload, { qos: 1 })
      expect(answerAll(subscriber)).toEqual(numbers(60))
    })
})

describe("what is sent again", () => {
  for (const level of levels)
    for (const qos of [1, 2] as const)
      test(`level ${level}, QoS ${qos}: [v3.1.1 MQTT-4.6.0-1] [v3.1.1 MQTT-4.6.0-6] [MQTT-4.6.0-5] comes in its original order, new messages after it`, () => {
        const harness = new Harness({ limits: { maximumInflight: 40 } })
        let subscriber = harness.client("sub", durable(level)).subscribe("a", { qos })
        subscriber.take()
        const publisher = harness.client("pub", { level })
        // the packet ids of the 20 that stay do not ascend: some are used for the second time
        for (const payload of numbers(30)) publisher.publish("a", payload, { qos })
        expect(answerAll(subscriber, 10)).toEqual(numbers(10))
        for (const payload of numbers(30, 30)) publisher.publish("a", payload, { qos })
        subscriber.drop()
        for (const payload of numbers(5, 60)) publisher.publish("a", payload, { qos })
        subscriber = harness.resume("sub", durable(level))
        expect(answerAll(subscriber).filter((payload) => Number(payload) >= 10)).toEqual(numbers(55, 10))
      })
})

describe("acknowledgements", () => {
  for (const level of levels) {
    test(`level ${level}: [v3.1.1 MQTT-4.6.0-2] [v3.1.1 MQTT-4.6.0-3] PUBACK and PUBREC come in the order of the PUBLISH packets, slow decisions or not`, async () => {
      const open: (() => void)[] = []
      const auth: Auth = {
        authenticate: () => true,
        authorize: (_client, _action, topic) =>
          topic === "slow" ? new Promise<boolean>((resolve) => open.push(() => resolve(true))) : true,
      }
      const client = new Harness({ auth }).client("a", { level })
      const ids = [5, 3, 9, 1, 4]
      ids.forEach((messageId, index) => {
        client.publish(index % 2 === 0 ? "slow" : "quick", "x", { qos: index < 3 ? 1 : 2, messageId })
      })
      while (open.length > 0) {
        open.shift()!()
        await microtasks()
      }
      expect(client.take().map(({ cmd, messageId }) => `${cmd} ${messageId}`)).toEqual([
        "puback 5",
        "puback 3",
        "puback 9",
        "pubrec 1",
        "pubrec 4",
      ])
    })

    test(`level ${level}: [v3.1.1 MQTT-4.6.0-4] PUBREL come in the order of the PUBREC packets`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a", { qos: 2 })
      const publisher = harness.client("pub", { level })
      for (const payload of numbers(3)) publisher.publish("a", payload, { qos: 2 })
      subscriber.take()
      for (const id of [3, 1, 2]) subscriber.ack("pubrec", id)
      expect(subscriber.take().map(({ cmd, messageId }) => `${cmd} ${messageId}`)).toEqual([
        "pubrel 3",
        "pubrel 1",
        "pubrel 2",
      ])
    })
  }
})

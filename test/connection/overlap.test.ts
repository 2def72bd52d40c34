/** Overlapping subscriptions of one client: one copy, the highest QoS, every identifier. MQTT 5 §3.3.4 */
import { describe, expect, test } from "bun:test"
import { Harness, type Received, type TestClient } from "../support/harness.ts"

const publishes = (client: TestClient): Received[] => client.take().filter(({ cmd }) => cmd === "publish")

/** The Subscription Identifiers of a message, sorted. */
function identifiers(packet: Received | undefined): number[] {
  return [(packet?.properties?.subscriptionIdentifier as number | number[] | undefined) ?? []]
    .flat()
    .sort((a, b) => a - b)
}

/** Subscribes with these identifiers; undefined is none. */
function subscribeAll(client: TestClient, filters: Record<string, number | undefined>, options = {}): TestClient {
  for (const [filter, identifier] of Object.entries(filters)) {
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }
    client.subscribe(filter, { ...options, ...properties })
  }
  client.take()
  return client
}

for (const level of [3, 4, 5] as const)
  describe(`level ${level}: [MQTT-3.3.4-2] [v3.1.1 MQTT-3.3.5-1] one copy comes, at the highest QoS that any grants`, () => {
    for (const published of [0, 1, 2] as const)
      test(`of a message published at QoS ${published}`, () => {
        const harness = new Harness()
        const client = harness.client("s", { level })
        for (const [filter, qos] of [
          ["a/#", 0],
          ["a/b", 2],
          ["+/b", 1],
        ] as const) {
          client.subscribe(filter, { qos })
        }
        client.take()
        harness.client("p").publish("a/b", "x", { qos: published })
        expect(publishes(client).map(({ qos }) => qos)).toEqual([published])
        harness.client("q").publish("c/b", "x", { qos: published })
        expect(publishes(client).map(({ qos }) => qos)).toEqual([Math.min(published, 1) as 0 | 1])
      })
  })

describe("identifiers", () => {
  test("[MQTT-3.3.4-4] the copy has those of all matching subscriptions that have one", () => {
    const harness = new Harness()
    const client = harness.client("s")
    subscribeAll(client, { "a/+": 1, "#": undefined, "a/b": 268_435_455, "a/#": 3, "a/c": 4, "+": 5 })
    harness.client("p").publish("a/b", "x")
    const received = publishes(client)
    expect(received).toHaveLength(1)
    expect(identifiers(received[0])).toEqual([1, 3, 268_435_455])
  })

  test("[MQTT-3.3.4-3] live, and from the queue", () => {
    const harness = new Harness()
    const fields = { clean: false, properties: { sessionExpiryInterval: 60 } }
    const client = harness.client("s", fields)
    subscribeAll(client, { "a/+": 1, "a/b": 2 }, { qos: 1 })
    client.drop()
    harness.client("p").publish("a/b", "x", { qos: 1 })
    const received = publishes(harness.resume("s", fields))
    expect(received).toHaveLength(1)
    expect(identifiers(received[0])).toEqual([1, 2])
  })

  test("[MQTT-3.3.4-4] one that two subscriptions share comes twice", () => {
    const harness = new Harness()
    const client = subscribeAll(harness.client("s"), { "a/+": 9, "a/b": 9 })
    harness.client("p").publish("a/b", "x")
    expect(publishes(client).map(identifiers)).toEqual([[9, 9]])
  })

  test("a retained message has that of the subscription that brings it", () => {
    const harness = new Harness()
    harness.client("p").publish("a/b", "x", { retain: true })
    const client = harness.client("s")
    for (const [filter, subscriptionIdentifier] of Object.entries({ "a/+": 1, "a/b": 2 })) {
      client.subscribe(filter, { properties: { subscriptionIdentifier } })
      expect(publishes(client).map(identifiers)).toEqual([[subscriptionIdentifier]])
    }
  })

  test("they follow a subscription that comes, changes and goes", () => {
    const harness = new Harness()
    const client = subscribeAll(harness.client("s"), { "a/#": 1 })
    const publisher = harness.client("p")
    const expectNext = (...expected: number[]) => {
      client.take()
      publisher.publish("a/b", "x")
      expect(publishes(client).map(identifiers)).toEqual([expected])
    }
    expectNext(1)
    subscribeAll(client, { "a/b": 2 })
    expectNext(1, 2)
    subscribeAll(client, { "a/#": 3 })
    expectNext(2, 3)
    subscribeAll(client, { "a/b": undefined })
    expectNext(3)
    client.send({ cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a/#"] })
    expectNext()
  })
})

describe("[MQTT-3.8.3-3] No Local among overlapping subscriptions counts for its own subscription", () => {
  const table: [name: string, filters: [filter: string, nl: boolean, qos: 0 | 1 | 2][], own: number, qos: number][] = [
    ["all of them", [["a/#", true, 1], ["a/b", true, 2]], 0, 0], // biome-ignore format: a table
    ["the higher one", [["a/#", false, 1], ["a/b", true, 2]], 1, 1], // biome-ignore format: a table
    ["the lower one", [["a/#", false, 2], ["a/b", true, 1]], 1, 2], // biome-ignore format: a table
    ["one of three", [["a/#", false, 0], ["a/b", true, 2], ["+/b", false, 1]], 1, 1], // biome-ignore format: a table
    ["two of three", [["a/#", true, 2], ["a/b", false, 0], ["+/b", true, 1]], 1, 0], // biome-ignore format: a table
    ["two of four", [["#", true, 2], ["a/#", false, 0], ["a/b", true, 2], ["+/b", false, 1]], 1, 1], // biome-ignore format: a table
  ]
  for (const [name, filters, own, qos] of table)
    test(`${name}, in every order of subscribing`, () => {
      for (const order of permutations(filters)) {
        const harness = new Harness()
        const client = harness.client("s")
        order.forEach(([filter, nl, granted], index) => {
          client.subscribe(filter, { qos: granted, nl, properties: { subscriptionIdentifier: index + 1 } })
        })
        client.take()
        const locals = order.flatMap(([, nl], index) => (nl ? [] : [index + 1]))
        client.publish("a/b", "own", { qos: 2, messageId: 50 })
        const mine = publishes(client)
        expect(mine.map((packet) => packet.qos as number)).toEqual(new Array(own).fill(qos))
        if (own > 0) expect(identifiers(mine[0])).toEqual(locals)
        harness.client("other").publish("a/b", "other", { qos: 2 })
        const others = publishes(client)
        expect(others.map((packet) => packet.qos)).toEqual([Math.max(...order.map(([, , each]) => each)) as 0 | 1 | 2])
        expect(identifiers(others[0])).toEqual(order.map((_, index) => index + 1))
      }
    })
})

test("Retain As Published of any overlapping subscription keeps the RETAIN flag", () => {
  const harness = new Harness()
  const client = harness.client("s").subscribe("a/+", { rap: false }).subscribe("a/b", { rap: true })
  client.take()
  harness.client("p").publish("a/b", "x", { retain: true }).publish("a/c", "y", { retain: true })
  expect(publishes(client).map(({ retain }) => retain)).toEqual([true, false])
})

test("a shared and a non-shared subscription that overlap give a copy each", () => {
  const harness = new Harness()
  const client = harness.client("s").subscribe(["a/b", "$share/g/a/b", "$share/h/a/+"])
  client.take()
  harness.client("p").publish("a/b", "x")
  expect(client.messages()).toEqual(["a/b x", "a/b x", "a/b x"])
})

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length < 2) return [[...values]]
  return values.flatMap((value, index) =>
    permutations([...values.slice(0, index), ...values.slice(index + 1)]).map((rest) => [value, ...rest]),
  )
}

/** What goes over which topics, for whoever looks. */
import { describe, expect, test } from "bun:test"
import { Sampler, TopicWatch } from "../../src/broker/sampler.ts"
import { Harness } from "../support/harness.ts"

function watched(pattern: string) {
  const harness = new Harness()
  const watch = new TopicWatch(pattern)
  const end = Sampler.watch(harness.core, watch)
  const take = () => {
    const { samples, unseenMessages } = watch.take()
    const lines = samples.map(({ topic, messages, preview, payloadBytes, qos, retain }) => {
      return `${topic} ${messages}x ${preview.toString("utf8", 0, payloadBytes)} ${payloadBytes} ${qos}${retain ? " retain" : ""}`
    })
    return { lines, samples, unseenMessages }
  }
  return { harness, end, take }
}

describe("of each topic that matches", () => {
  test("there are the last value and how many there were, since the last look", () => {
    const { harness, take } = watched("a/#")
    const publisher = harness.client("publisher")
    publisher.publish("a/1", "first").publish("a/1", "second", { qos: 1, retain: true })
    publisher.publish("a", "root").publish("b", "other")
    expect(take().lines).toEqual(["a/1 2x second 6 1 retain", "a 1x root 4 0"])
    expect(take().lines).toEqual([])
    publisher.publish("b", "other").publish("a/2", "")
    expect(take().lines).toEqual(["a/2 1x  0 0"])
  })

  test("as for a client, a filter that begins with a wildcard does not match what begins with $", () => {
    const { harness, take } = watched("#")
    harness.client("publisher").publish("$mine/a", "x").publish("a", "x")
    expect(take().lines).toEqual(["a 1x x 1 0"])
  })

  test("of a long payload there is the beginning, and how long it is", () => {
    const { harness, take } = watched("#")
    harness.client("publisher").publish("a", Buffer.alloc(1000, "x"))
    const [sample] = take().samples
    expect([sample!.preview.toString(), sample!.payloadBytes]).toEqual(["x".repeat(256), 1000])
  })

  test("there are those, too, that only some may get, that hooks have changed, and that nobody sends", () => {
    const { harness, take } = watched("#")
    harness.core.hooks.use({
      onMessage: (message) =>
        message.topic === "some" ? message.with({ allowClients: ["a"] }) : message.with({ payload: "changed" }),
    })
    const publisher = harness.client("publisher")
    publisher.publish("some", "x").publish("other", "y")
    harness.client("dying", { will: { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false } }).drop()
    expect(take().lines).toEqual(["some 1x x 1 0", "other 1x changed 7 0", "will 1x gone 4 0"])
  })
})

describe("nobody notices", () => {
  test("a publisher is told that nobody has subscribed", () => {
    const { harness } = watched("#")
    const publisher = harness.client("publisher").publish("a", "x", { qos: 1 })
    expect(publisher.take()).toMatchObject([{ cmd: "puback", reasonCode: 0x10 }])
    expect(harness.core.router.subscriptionCount).toBe(0)
  })

  test("when the last look has ended there is nothing left of it", () => {
    const { harness, end, take } = watched("#")
    const other = Sampler.watch(harness.core, new TopicWatch("b"))
    end()
    expect(harness.core.sampler).toBeDefined()
    other()
    expect(harness.core.sampler).toBeUndefined()
    harness.client("publisher").publish("a", "x")
    expect(take().lines).toEqual([])
  })
})

describe("of more topics than there is room for", () => {
  const publishAll = (harness: Harness, topics: number) => {
    const publisher = harness.core.clients.has("publisher") ? undefined : harness.client("publisher")
    for (let n = 0; n < topics; n++) publisher!.publish(`t/${n}`, "x")
    publisher!.drop()
  }

  test("500 are taken, and the messages over the others are counted", () => {
    const { harness, take } = watched("#")
    publishAll(harness, 2000)
    const { samples, unseenMessages } = take()
    expect([samples.length, unseenMessages]).toEqual([500, 1500])
  })

  test("others are taken each time, so that all are seen in the end", () => {
    const { harness, take } = watched("#")
    const seen = new Set<string>()
    for (let look = 0; look < 100; look++) {
      publishAll(harness, 2000)
      const { samples, unseenMessages } = take()
      expect(samples.length + unseenMessages).toBe(2000)
      for (const { topic } of samples) seen.add(topic)
    }
    expect(seen.size).toBeGreaterThan(1900)
  })

  test("when there are few again, all of them are taken again", () => {
    const { harness, take } = watched("#")
    for (let look = 0; look < 5; look++) {
      publishAll(harness, 4000)
      take()
    }
    for (let look = 0; look < 10; look++) {
      publishAll(harness, 100)
      take()
    }
    publishAll(harness, 100)
    expect([take().samples.length, take().unseenMessages]).toEqual([100, 0])
  })
})

describe("names that strangers make long", () => {
  const long = (n: number) => `${n}/`.padEnd(60_000, "x")

  test("have room for so many characters together; what goes over the others is counted", () => {
    const { harness, take } = watched("#")
    const publisher = harness.client("publisher")
    for (let n = 0; n < 50; n++) publisher.publish(long(n), "x")
    const { samples, unseenMessages } = take()
    expect([samples.length, unseenMessages]).toEqual([9, 41])
    publisher.publish("short", "x")
    take()
    publisher.publish("short", "x")
    expect(take().lines).toEqual(["short 1x x 1 0"])
  })

  test("are not remembered where they do not match", () => {
    const harness = new Harness()
    const watch = new TopicWatch("a")
    Sampler.watch(harness.core, watch)
    const publisher = harness.client("publisher")
    for (let n = 0; n < 50; n++) publisher.publish(long(n), "x").publish(`short ${n}`, "x")
    expect((watch as unknown as { others: ReadonlySet<string> }).others.size).toBe(50)
  })
})

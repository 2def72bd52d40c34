/** Share groups with many members, and clients in many share groups: whatever one of them does is as much work as among few. */
import { describe, expect, test } from "bun:test"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { workOf } from "../support/work.ts"

const FILTER = "$share/g/t"
const [FEW, MANY] = [50, 3000]
/** By how much a tree of bits and a search by halves may be deeper. */
const DEEPER = 30

/** A group of that many members, and who publishes to it. */
class Group {
  readonly members: TestClient[]
  readonly publisher: TestClient
  readonly harness: Harness

  constructor(size: number, fields: ConnectFields = {}, harness = new Harness()) {
    this.harness = harness
    this.members = Array.from({ length: size }, (_, index) => harness.client(`m${index}`, fields))
    for (const member of this.members) member.subscribe(FILTER, { qos: 1 }).take()
    this.publisher = harness.client("publisher")
  }

  get middle(): TestClient {
    return this.members[this.members.length >> 1]!
  }

  publish(qos: 0 | 1 | 2, count = 1): void {
    for (let i = 0; i < count; i++) this.publisher.publish("t", "x", { qos })
  }

  /** Sends every member as many messages as its window takes. */
  fill(): void {
    this.publish(1, this.members.length)
    expect(this.members.every((member) => member.take().length === 1)).toBe(true)
  }

  dropAll(): void {
    for (const member of this.members) member.drop()
  }
}

const narrow: ConnectFields = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } }
const leave = (client: TestClient) => client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [FILTER] })

/** With so few filters in a packet that it is answered at once. */
function subscribed(client: TestClient, filters: string[]): TestClient {
  for (let from = 0; from < filters.length; from += 250) {
    expect(client.subscribe(filters.slice(from, from + 250), { qos: 1 }).take()[0]?.cmd).toBe("suback")
  }
  return client
}

interface Deed {
  deed(group: Group): unknown
  /** Default: their sessions end with their connections, and they have room. */
  members?: ConnectFields
  before?(group: Group): void
}

const deeds: Record<string, Deed> = {
  "one more joins": { deed: ({ harness }) => harness.client("late").subscribe(FILTER) },
  "one subscribes again": { deed: ({ middle }) => middle.subscribe(FILTER, { qos: 2 }) },
  "the first leaves": { deed: ({ members }) => leave(members[0]!) },
  "the last leaves": { deed: ({ members }) => leave(members.at(-1)!) },
  "a session ends": { deed: ({ middle }) => middle.drop() },
  "a session ends, and another gets what it has not finished": {
    deed: ({ members }) => members[0]!.drop(),
    before: (group) => group.publish(1),
  },
  "a session ends, and what it has not finished waits": {
    deed: ({ harness }) => harness.clock.advance(61),
    members: durable(),
    before(group) {
      group.publish(1)
      group.members[0]!.disconnect(0, { sessionExpiryInterval: 60 })
      group.dropAll()
    },
  },
  "a message of QoS 0 comes": { deed: (group) => group.publish(0) },
  "a message of QoS 1 comes": { deed: (group) => group.publish(1) },
  "a message of QoS 2 comes": { deed: (group) => group.publish(2) },
  "a message comes for one of them": {
    deed: (group) => group.publish(1),
    before(group) {
      group.harness.core.hooks.use({ onMessage: (message) => message.with({ allowClients: ["m7", "nobody"] }) })
      group.publish(1)
    },
  },
  "one goes offline": { deed: ({ middle }) => middle.drop(), members: durable() },
  "one comes back": {
    deed: ({ harness }) => harness.resume("m7"),
    members: durable(),
    before: ({ members }) => members[7]!.drop(),
  },
  "a message of QoS 0 comes while all are away": {
    deed: (group) => group.publish(0),
    members: durable(),
    before: (group) => group.dropAll(),
  },
  "a message of QoS 1 comes while all are away": {
    deed: (group) => group.publish(1),
    members: durable(),
    before: (group) => group.dropAll(),
  },
  "a message comes while one alone is not away": {
    deed: (group) => group.publish(1),
    members: durable(),
    before(group) {
      group.dropAll()
      group.harness.resume("m7")
    },
  },
  "the first comes back and takes what waits": {
    deed: ({ harness }) => harness.resume("m7"),
    members: durable(),
    before(group) {
      group.dropAll()
      group.publish(1, 3)
    },
  },
  "a message comes while all windows are full": {
    deed: (group) => group.publish(1),
    members: narrow,
    before(group) {
      group.fill()
      group.publish(1)
    },
  },
  "a message of QoS 0 comes while all windows are full": {
    deed: (group) => group.publish(0),
    members: narrow,
    before: (group) => group.fill(),
  },
  "a message comes while one window is not full": {
    deed: (group) => group.publish(1),
    members: narrow,
    before(group) {
      group.fill()
      group.publish(1)
      group.middle.ack("puback", 1).ack("puback", 2)
    },
  },
  "a full window has room, and nothing waits": {
    deed: ({ middle }) => middle.ack("puback", 1),
    members: narrow,
    before: (group) => group.fill(),
  },
  "a full window has room for what waits": {
    deed: ({ middle }) => middle.ack("puback", 1),
    members: narrow,
    before(group) {
      group.fill()
      group.publish(1)
    },
  },
}

describe("what a member does, or gets, is as much work in a group of thousands as among a few", () => {
  for (const [name, { deed, members, before }] of Object.entries(deeds))
    test(name, () => {
      const [few, many] = [FEW, MANY].map((size) => {
        const group = new Group(size, members)
        before?.(group)
        return workOf(() => deed(group))
      })
      expect(many).toBeLessThan(few! + DEEPER)
    })

  test("one is passed over that may not have a message of QoS 0, after a while", async () => {
    const works: number[] = []
    for (const size of [FEW, MANY]) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const authorize = ({ clientId }: { clientId: string }, action: string) =>
        action !== "receive" || clientId !== "m0" || promise
      const harness = new Harness({ auth: { authenticate: () => true, authorize } })
      const group = new Group(size, {}, harness)
      works.push(workOf(() => group.publish(0)))
      resolve(false)
      await microtasks()
      expect(group.members.slice(0, 3).map((member) => member.take().length)).toEqual([0, 1, 0])
    }
    expect(works[1]!).toBeLessThan(works[0]! + DEEPER)
  })

  test("and whoever comes and goes for a long time leaves no place behind", () => {
    const group = new Group(10)
    for (let i = 0; i < 1000; i++) {
      leave(group.members[i % 10]!)
      group.members[i % 10]!.subscribe(FILTER, { qos: 1 })
    }
    const { places } = group.harness.core.sharing.queue(FILTER).members as unknown as { places: unknown[] }
    expect(places.length).toBeLessThan(50)
  })
})

describe("who joined first has its turn first", () => {
  test("however many have come and gone meanwhile", () => {
    const group = new Group(5)
    const late: TestClient[] = []
    for (let round = 0; round < 50; round++) {
      const passing = group.harness.client("passing").subscribe(FILTER)
      if (round % 10 === 0) late.push(group.harness.client(`late${round}`).subscribe(FILTER, { qos: 1 }))
      passing.drop()
    }
    const members = [...group.members, ...late]
    for (const member of members) member.take()
    for (let i = 0; i < 2 * members.length; i++) group.publisher.publish("t", String(i))
    const got = members.map((member) => member.messages())
    expect(got).toEqual(members.map((_, index) => [`t ${index}`, `t ${index + members.length}`]))
  })

  test("and whoever leaves takes nobody's turn away", () => {
    const group = new Group(4)
    group.publish(0, 2)
    leave(group.members[0]!)
    for (const member of group.members) member.take()
    for (const payload of ["1", "2", "3"]) group.publisher.publish("t", payload)
    expect(group.members.map((member) => member.messages())).toEqual([[], ["t 3"], ["t 1"], ["t 2"]])
  })
})

describe("what a client does that is in thousands of groups is as much work as if it were in a few", () => {
  const inGroups = (count: number) => {
    const harness = new Harness()
    const filters = Array.from({ length: count }, (_, index) => `$share/g/t/${index}`)
    const client = subscribed(harness.client("a", narrow), filters)
    return { client, publisher: harness.client("publisher") }
  }
  const messageDeeds: Record<string, (world: ReturnType<typeof inGroups>) => () => unknown> = {
    "it joins another":
      ({ client }) =>
      () =>
        client.subscribe(FILTER),
    "it leaves one":
      ({ client }) =>
      () =>
        client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["$share/g/t/7"] }),
    "it gets a message":
      ({ publisher }) =>
      () =>
        publisher.publish("t/7", "x", { qos: 1 }),
    "it gets what has waited in one of them": ({ client, publisher }) => {
      for (let i = 0; i < 3; i++) publisher.publish(`t/${i}`, "x", { qos: 1 })
      return () => client.ack("puback", 1)
    },
    "it is done with a message, and nothing waits": ({ client, publisher }) => {
      publisher.publish("t/7", "x", { qos: 1 })
      return () => client.ack("puback", 1)
    },
  }
  for (const [name, prepare] of Object.entries(messageDeeds))
    test(name, () => {
      const [few, many] = [FEW, MANY].map((count) => workOf(prepare(inGroups(count))))
      expect(many).toBeLessThan(few! + DEEPER)
    })

  test("and it takes what waits from the group first that it joined first", () => {
    const { client, publisher } = inGroups(20)
    for (const index of [3, 17, 5, 11, 2, 5]) publisher.publish(`t/${index}`, "x", { qos: 1 })
    const got: string[] = []
    for (let [message] = client.take(); message !== undefined; [message] = client.take()) {
      got.push(message.topic)
      client.ack("puback", message.messageId!)
    }
    expect(got).toEqual(["t/3", "t/2", "t/5", "t/5", "t/11", "t/17"])
  })

  test("one that joins and leaves without end and reads nothing leaves nothing behind", () => {
    const { client, publisher } = inGroups(1)
    publisher.publish("t/0", "x", { qos: 1 })
    for (let i = 0; i < 1000; i++) leave(client.subscribe(FILTER, { qos: 1 }))
    expect(workOf(() => client.ack("puback", 1))).toBeLessThan(2 * DEEPER)
  })
})

test("many groups share a filter: another one's members are no work for it, nor do they change a route", () => {
  const works = [FEW, MANY].map((count) => {
    const harness = new Harness()
    const filters = Array.from({ length: count }, (_, index) => `$share/g${index}/t/+`)
    subscribed(harness.client("a"), filters)
    const { router } = harness.core
    const before = router.route(router.topics.named("t/x")!)
    const other = harness.client("b")
    const work = workOf(() => {
      other.subscribe("$share/g1/t/+")
      other.drop()
    })
    expect(router.route(router.topics.named("t/x")!)).toBe(before)
    return work
  })
  expect(works[1]!).toBeLessThan(works[0]! + DEEPER)
})

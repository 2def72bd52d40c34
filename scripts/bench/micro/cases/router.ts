/** Names, filters, and who gets what: among 10,000 filters, most of which do not match. */
import type { QoS } from "../../../../src/codec/index.ts"
import {
  isTopicName,
  parseTopicFilter,
  RetainedMessages,
  Router,
  Subscription,
  Topic,
  type TopicFilter,
  type TopicLimits,
  Topics,
} from "../../../../src/router/index.ts"
import type { Case } from "../case.ts"
import { topicNames } from "../inputs.ts"

const limits: TopicLimits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }

/** In the place of a session. */
class Subscriber {
  received = 0

  deliver(qos: QoS): void {
    this.received += 1 + qos
  }
}

export function routerCases(): Case[] {
  const router = crowded()
  return [...names(), ...matches(router), ...visits(router), ...changes(), ...retained()]
}

function names(): Case[] {
  const known = topicNames(500)
  return [
    checking(known),
    parsing(),
    finding("router-topic-known", "topic of 500, found by its bytes", known, new Topics(limits)),
    finding("router-topic-new", "topic of 500, decoded, checked and entered", known),
  ]
}

function joined(texts: readonly string[]) {
  let at = 0
  const places = texts.map((text) => ({ start: at, end: (at += Buffer.byteLength(text)) }))
  return { bytes: Buffer.from(texts.join("")), places }
}

function checking(texts: readonly string[]): Case {
  const { bytes, places } = joined(texts)
  return {
    name: "router-topic-valid",
    title: "topic name of about 35 B checked",
    operations: places.length,
    expected: places.length,
    run() {
      let valid = 0
      for (const { start, end } of places) if (isTopicName(bytes, start, end, limits)) valid++
      return valid
    },
  }
}

function parsing(): Case {
  const texts = topicNames(100).map((name, i) => {
    return [name, `${name}/#`, name.replace(/line-\d/, "+"), `$share/workers/${name}`][i % 4]!
  })
  return {
    name: "router-filter-parse",
    title: "topic filter parsed: exact, #, +, shared",
    operations: texts.length,
    expected: texts.filter((text) => /[+#]/.test(text)).length,
    run() {
      let wild = 0
      for (const text of texts) if (parseTopicFilter(text, limits)!.hasWildcard) wild++
      return wild
    },
  }
}

/** In a table that knows them, or else one that is new in each run. */
function finding(name: string, title: string, texts: readonly string[], table?: Topics): Case {
  const { bytes, places } = joined(texts)
  return {
    name,
    title,
    operations: places.length,
    expected: bytes.length,
    run() {
      const topics = table ?? new Topics(limits)
      let length = 0
      for (const { start, end } of places) length += topics.find(bytes, start, end)?.bytes.length ?? Number.NaN
      return length
    },
  }
}

function filterOf(text: string): TopicFilter {
  const filter = parseTopicFilter(text, limits)
  if (filter === undefined) throw new Error(`${text} is no topic filter`)
  return filter
}

function subscribed(router: Router<Subscriber>, subscriber: Subscriber, text: string): Subscription<Subscriber> {
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const subscription = new Subscription(subscriber, filterOf(text), options, undefined)
  router.subscribe(subscription)
  return subscription
}

/** 10,000 filters on topics such as come, of which none matches `#`-wide: a third exact, a third with `+`, a third with `#`. */
function crowded(): Router<Subscriber> {
  const router = new Router<Subscriber>(limits)
  for (const [i, name] of topicNames(10_000).entries()) {
    const filter = [name, name.replace(/line-\d/, "+"), name.replace(/\/[^/]*$/, "/sub/#")][i % 3]!
    subscribed(router, new Subscriber(), filter)
  }
  return router
}

/** Of a table entry a topic keeps its route; one that is in no table is matched anew each time. */
const uncached = (name: string) => new Topic(name, Buffer.from(name), 0)

function matches(router: Router<Subscriber>): Case[] {
  const [me, other] = [new Subscriber(), new Subscriber()]
  subscribed(router, me, "office/floor-2/desk-9/lamp")
  subscribed(router, me, "store/+/shelf-9/+")
  subscribed(router, me, "yard/#")
  for (const filter of ["lab/bench-1/scale", "lab/+/scale", "lab/#"]) {
    subscribed(router, me, filter)
    subscribed(router, other, filter)
  }
  return [
    remembered(),
    routing(
      "router-match-none",
      "topic matched anew: nobody of 10,000",
      router,
      [uncached("plant-1/line-9/machine-7/x")],
      0,
    ),
    routing(
      "router-match-exact",
      "topic matched anew: an exact filter",
      router,
      [uncached("office/floor-2/desk-9/lamp")],
      1,
    ),
    routing(
      "router-match-plus",
      "topic matched anew: a filter with two +",
      router,
      [uncached("store/2/shelf-9/17")],
      1,
    ),
    routing("router-match-hash", "topic matched anew: a filter with #", router, [uncached("yard/gate/north/lock")], 1),
    routing(
      "router-match-overlap",
      "topic matched anew: 3 filters each of 2",
      router,
      [uncached("lab/bench-1/scale")],
      2,
    ),
  ]
}

/** The first two of three topics match a filter each. Some have fallen out of the table since they were entered: they would be matched anew. */
function remembered(): Case {
  const router = crowded()
  const topics = topicNames(500).map((name, i) => ({ topic: router.topics.named(name)!, targets: i % 3 < 2 ? 1 : 0 }))
  const known = topics.filter(({ topic }) => topic.cached)
  const targets = known.reduce((sum, each) => sum + each.targets, 0)
  const matched = known.map(({ topic }) => topic)
  return routing("router-match-cached", "topic of 500 matched before", router, matched, targets)
}

function routing(
  name: string,
  title: string,
  router: Router<Subscriber>,
  topics: readonly Topic[],
  targetsInAll: number,
): Case {
  const rounds = Math.ceil(100 / topics.length)
  return {
    name,
    title,
    operations: rounds * topics.length,
    expected: rounds * targetsInAll,
    run() {
      let targets = 0
      for (let round = 0; round < rounds; round++) {
        for (const topic of topics) targets += router.route(topic).targets.length
      }
      return targets
    },
  }
}

function visits(router: Router<Subscriber>): Case[] {
  return [1, 10, 100, 1000].flatMap((count) => {
    const subscribers = Array.from({ length: count }, () => new Subscriber())
    for (const subscriber of subscribers) subscribed(router, subscriber, `alarms-${count}/+/on`)
    const name = `alarms-${count}/floor-2/on`
    const title = `${count.toLocaleString("en-US")} of 10,000 subscribers visited`
    const known = { topic: router.topics.named(name)!, operations: 2000 / count }
    const unknown = { topic: uncached(name), operations: Math.max(2, 100 / count) }
    return [
      visiting(`router-visit-${count}`, `${title}, matched before`, router, subscribers, known),
      visiting(`router-match-${count}`, `${title}, matched anew`, router, subscribers, unknown),
    ]
  })
}

function visiting(
  name: string,
  title: string,
  router: Router<Subscriber>,
  subscribers: readonly Subscriber[],
  { topic, operations }: { readonly topic: Topic; readonly operations: number },
): Case {
  return {
    name,
    title,
    operations,
    expected: operations * 2 * subscribers.length,
    run() {
      for (let i = 0; i < operations; i++) {
        for (const { subscriber, qos } of router.route(topic).targets) subscriber.deliver(qos)
      }
      let received = 0
      for (const subscriber of subscribers) {
        received += subscriber.received
        subscriber.received = 0
      }
      return received
    },
  }
}

function changes(): Case[] {
  const router = crowded()
  const names = topicNames(100)
  const group = names.map((name) => `$share/workers/${name}`)
  return [
    changing("router-subscribe-exact", "subscribe and unsubscribe among 10,000: exact", router, names),
    changing(
      "router-subscribe-wild",
      "subscribe and unsubscribe among 10,000: +",
      router,
      names.map((name) => name.replace(/^plant-\d/, "+")),
    ),
    changing("router-subscribe-shared", "subscribe and unsubscribe among 10,000: shared", router, group),
  ]
}

function changing(name: string, title: string, router: Router<Subscriber>, texts: readonly string[]): Case {
  const subscriber = new Subscriber()
  const filters = texts.map(filterOf)
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  return {
    name,
    title,
    operations: texts.length,
    expected: router.subscriptionCount * 2 + texts.length,
    run() {
      const subscriptions = filters.map((filter) => new Subscription(subscriber, filter, options, undefined))
      for (const subscription of subscriptions) router.subscribe(subscription)
      const most = router.subscriptionCount
      for (const subscription of subscriptions) router.unsubscribe(subscription)
      return most + router.subscriptionCount
    },
  }
}

function retained(): Case[] {
  const names = topicNames(10_000)
  const messages = new RetainedMessages<{ bytes: number }>()
  for (const [i, name] of names.entries()) messages.set(name, { bytes: i })
  const matching = (pattern: string) => {
    let count = 0
    messages.match(pattern, () => count++)
    return count
  }
  const walking = (name: string, title: string, pattern: string): Case => {
    const operations = Math.max(1, Math.round(1000 / matching(pattern)))
    return {
      name,
      title: `${title}: ${matching(pattern).toLocaleString("en-US")} matched`,
      operations,
      expected: operations * matching(pattern),
      run() {
        let count = 0
        for (let i = 0; i < operations; i++) messages.match(pattern, () => count++)
        return count
      },
    }
  }
  const few = names.slice(0, 500)
  return [
    {
      name: "router-retained-set",
      title: "retained message replaced and looked up, of 10,000",
      operations: few.length,
      expected: (few.length * (few.length - 1)) / 2,
      run() {
        let bytes = 0
        for (const name of few) {
          const message = messages.get(name)!
          bytes += message.bytes
          messages.set(name, message)
        }
        return bytes
      },
    },
    walking("router-retained-exact", "retained of 10,000, by name", names[4711]!),
    walking("router-retained-plus", "retained of 10,000, by +", "plant-3/+/+/state"),
    walking("router-retained-hash", "retained of 10,000, by #", "plant-3/#"),
  ]
}

/** What every store must do, as cases for any test runner: `manju/store-conformance`. */
import type { Store, Stored, StoredChange, StoredDelivery, StoredMessage } from "../broker/ports.ts"

/**
 * Something that must hold, for any test runner.
 *
 * @example
 * const broken = async ({ name, run }: ConformanceCase) => run().then(() => [], (error) => [`${name}: ${error}`])
 */
export interface ConformanceCase {
  readonly name: string
  /** Rejects with what is wrong. */
  run(): Promise<void>
}

/**
 * Two stores on one place: what the first leaves, the second finds. `open` is called again after `close`.
 *
 * @example
 * const place: StorePlace = { open: () => sqlite("one.db") }
 */
export interface StorePlace {
  open(): Store
}

const bytes = (text: string) => new TextEncoder().encode(text)

function message(id: number, fields: Partial<StoredMessage> = {}): StoredMessage {
  const base = {
    id,
    topic: "a/b",
    payload: bytes(`payload ${id}`),
    qos: 1,
    retain: false,
    properties: bytes(""),
  } as const
  return { ...base, expirySeconds: undefined, expiresAt: undefined, ...fields }
}

function delivery(
  owner: string,
  sequence: number,
  of: StoredMessage,
  fields: Partial<StoredDelivery> = {},
): StoredDelivery {
  const base = {
    owner,
    sequence,
    message: of,
    qos: 1,
    retain: false,
    identifiers: undefined,
    group: undefined,
  } as const
  return { ...base, packetId: undefined, bytes: 100, ...fields }
}

const session = (clientId: string, disconnectedAt?: number, username?: string | null): StoredChange => ({
  kind: "session",
  session: { clientId, username, expirySeconds: 3600, disconnectedAt, will: undefined },
})
const queued = (each: StoredDelivery): StoredChange => ({ kind: "queued", delivery: each })

/** Plain data, so that byte strings of every class compare. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each) =>
      each?.type === "Buffer" ? { bytes: each.data } : each instanceof Uint8Array ? { bytes: [...each] } : each,
    ),
  )
}

function assertSame(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(sorted(plain(actual))), JSON.stringify(sorted(plain(expected)))]
  if (a !== b) throw new Error(`expected ${b}\n but got ${a}`)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== "object") return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, each]) => [name, sorted(each)]),
  )
}

async function loaded(store: Store, kind: Stored["kind"]): Promise<Stored[]> {
  const found: Stored[] = []
  for await (const item of store.load()) if (item.kind === kind) found.push(item)
  return found
}

/**
 * The cases; `place` gives a new, empty place for each.
 *
 * @example
 * import { test } from "bun:test"
 *
 * const cases = storeConformance(() => {
 *   const path = `/tmp/${crypto.randomUUID()}.db`
 *   return { open: () => sqlite(path) }
 * })
 * for (const { name, run } of cases) test(name, run)
 */
export function storeConformance(place: () => StorePlace): ConformanceCase[] {
  /** Commits in one run, looks in the next. */
  const case_ = (name: string, changes: StoredChange[][], look: (store: Store) => Promise<void>): ConformanceCase => ({
    name,
    async run() {
      const { open } = place()
      const first = open()
      await loaded(first, "session")
      for (const batch of changes) await first.commit(batch)
      await first.close()
      const second = open()
      try {
        await look(second)
      } finally {
        await second.close()
      }
    },
  })
  const waiting = async (store: Store, owner: string) => {
    await loaded(store, "session")
    return (await store.page(owner, Number.MIN_SAFE_INTEGER, 100)).map(({ sequence }) => sequence)
  }
  const one = message(1)
  const two = message(2, {
    topic: "ü/ﬀ",
    expirySeconds: 60,
    expiresAt: 1_700_000_060_000,
    properties: bytes("\u0003\u0000\u0001x"),
  })
  const twice: StoredChange[] = [
    session("a"),
    queued(delivery("a", 1, one)),
    queued(delivery("a", 2, two)),
    queued(delivery("a", 3, one)),
    { kind: "sent", owner: "a", sequence: 1, packetId: 1 },
    { kind: "sent", owner: "a", sequence: 2, packetId: 2 },
    { kind: "released", owner: "a", sequence: 2 },
    { kind: "settled", owner: "a", sequence: 1 },
    { kind: "received", clientId: "a", packetId: 1 },
    { kind: "completed", clientId: "a", packetId: 1 },
  ]

  return [
    case_("an empty store has nothing", [], async (store) => {
      assertSame(await loaded(store, "session"), [])
    }),
    case_(
      "a session is as it was put last, its will with it",
      [[session("a"), session("b", 5)], [session("a", 7)]],
      async (store) => {
        const found = await loaded(store, "session")
        assertSame(
          found
            .map((each) =>
              each.kind === "session" ? [each.session.clientId, each.session.disconnectedAt ?? null] : [],
            )
            .sort(),
          [
            ["a", 7],
            ["b", 5],
          ],
        )
      },
    ),
    case_(
      "it is known whose a session is: a user's, with or without a name; or that this is not known",
      [
        [session("a", 1, "é\u0000'"), session("b", 1, ""), session("c", 1, null), session("d", 1, undefined)],
        [session("e", 1, undefined), session("f", 1, null), session("g", 1, "x")],
        [session("e", 1, null), session("f", 1, "x"), session("g", 1, null)],
      ],
      async (store) => {
        const found = await loaded(store, "session")
        assertSame(
          found
            .map((each) =>
              each.kind === "session" ? `${each.session.clientId} ${JSON.stringify(each.session.username)}` : "",
            )
            .sort(),
          ['a "é\\u0000\'"', 'b ""', "c null", "d undefined", "e null", 'f "x"', "g null"],
        )
      },
    ),
    case_(
      "a will comes back to the byte",
      [
        [
          {
            kind: "session",
            session: { clientId: "a", username: "u", expirySeconds: 1, disconnectedAt: undefined, will: will() },
          },
        ],
      ],
      async (store) => {
        const [found] = await loaded(store, "session")
        assertSame(found?.kind === "session" ? found.session.will : undefined, will())
      },
    ),
    case_(
      "subscriptions are there with their options, a later one in place of the earlier, those removed are not",
      [
        [session("a"), subscribed("a/+", 0), subscribed("b", 1), subscribed("c", 2)],
        [subscribed("a/+", 2), { kind: "unsubscribed", clientId: "a", topicFilter: "b" }],
      ],
      async (store) => {
        const found = await loaded(store, "subscribed")
        assertSame(
          found
            .map((each) =>
              each.kind === "subscribed" ? `${each.subscription.topicFilter} ${each.subscription.qos}` : "",
            )
            .sort(),
          ["a/+ 2", "c 2"],
        )
      },
    ),
    case_(
      "what waits is paged in the order of its sequences",
      [[session("a"), ...[3, 1, 2].map((each) => queued(delivery("a", each, message(each))))]],
      async (store) => {
        assertSame(await waiting(store, "a"), [1, 2, 3])
        assertSame(
          (await store.page("a", 1, 1)).map(({ sequence }) => sequence),
          [2],
        )
      },
    ),
    case_(
      "a message comes back to the byte",
      [[session("a"), queued(delivery("a", 1, two, { identifiers: [1, 268_435_455] }))]],
      async (store) => {
        await loaded(store, "session")
        assertSame(await store.page("a", 0, 10), [delivery("a", 1, two, { identifiers: [1, 268_435_455] })])
      },
    ),
    case_(
      "what is sent is in flight and not paged; what is released has no message; what is settled is gone",
      [
        [session("a"), ...[1, 2, 3, 4].map((each) => queued(delivery("a", each, message(each))))],
        [1, 2, 3].map((sequence) => ({ kind: "sent", owner: "a", sequence, packetId: sequence + 10 })),
        [
          { kind: "released", owner: "a", sequence: 2 },
          { kind: "settled", owner: "a", sequence: 3 },
        ],
      ],
      async (store) => {
        const found = await loaded(store, "inflight")
        assertSame(
          found.map((each) =>
            each.kind === "inflight"
              ? [each.delivery.sequence, each.delivery.packetId, each.delivery.message?.id ?? null]
              : [],
          ),
          [
            [1, 11, 1],
            [2, 12, null],
          ],
        )
        assertSame(await waiting(store, "a"), [4])
      },
    ),
    case_(
      "a queue is summed up without what is in flight, its last sequence with it",
      [
        [session("a"), ...[1, 2, 5].map((each) => queued(delivery("a", each, message(each))))],
        [{ kind: "sent", owner: "a", sequence: 5, packetId: 1 }],
      ],
      async (store) => {
        assertSame(await loaded(store, "queue"), [
          { kind: "queue", queue: { owner: "a", count: 2, bytes: 200, lastSequence: 5 } },
        ])
      },
    ),
    case_(
      "a message that two wait for is kept until both are done",
      [
        [session("a"), session("b"), queued(delivery("a", 1, one)), queued(delivery("b", 1, one))],
        [{ kind: "settled", owner: "a", sequence: 1 }],
      ],
      async (store) => {
        assertSame(await waiting(store, "a"), [])
        assertSame(
          (await store.page("b", 0, 10)).map((each) => each.message?.id),
          [1],
        )
      },
    ),
    case_("a batch that is committed once more has changed nothing", [twice, twice], async (store) => {
      assertSame(await waiting(store, "a"), [3])
      const [inflight] = await loaded(store, "inflight")
      assertSame(inflight?.kind === "inflight" && [inflight.delivery.sequence, inflight.delivery.message ?? null], [
        2,
        null,
      ])
      const [queue] = await loaded(store, "queue")
      assertSame(queue?.kind === "queue" && queue.queue.count, 1)
    }),
    case_(
      "a message that is settled and queued again in one batch is there",
      [
        [session("a"), queued(delivery("a", 1, one))],
        [{ kind: "settled", owner: "a", sequence: 1 }, queued(delivery("a", 2, one))],
      ],
      async (store) => {
        await loaded(store, "session")
        assertSame(
          (await store.page("a", 0, 10)).map((each) => each.message?.id),
          [1],
        )
      },
    ),
    case_(
      "sequences of a group's queue may be negative",
      [[queued(delivery("$share/g/t", 1, one)), queued(delivery("$share/g/t", -1, message(2)))]],
      async (store) => {
        assertSame(await waiting(store, "$share/g/t"), [-1, 1])
      },
    ),
    case_(
      "received ids are there until they are completed",
      [[session("a"), received(1), received(2)], [{ kind: "completed", clientId: "a", packetId: 1 }]],
      async (store) => {
        assertSame(await loaded(store, "received"), [{ kind: "received", clientId: "a", packetId: 2 }])
      },
    ),
    case_(
      "a session that is removed takes everything of its own along, and nothing of another's",
      [
        [
          session("a"),
          session("b"),
          subscribed("t", 1),
          received(1),
          queued(delivery("a", 1, one)),
          queued(delivery("b", 1, one)),
        ],
        [{ kind: "sessionRemoved", clientId: "a" }],
      ],
      async (store) => {
        for (const kind of ["subscribed", "received", "inflight"] as const) assertSame(await loaded(store, kind), [])
        assertSame(await waiting(store, "a"), [])
        assertSame(await waiting(store, "b"), [1])
      },
    ),
    case_(
      "a retained message is the last one of its topic, or gone",
      [
        [retained(1, "x"), retained(2, "y")],
        [retained(3, "x"), { kind: "unretained", topicName: "y" }],
      ],
      async (store) => {
        assertSame(
          (await loaded(store, "retained")).map((each) =>
            each.kind === "retained" ? [each.message.topic, each.message.id] : [],
          ),
          [["x", 3]],
        )
      },
    ),
    case_("totals are the last ones", [[total(1), total(5)], [total(7)]], async (store) => {
      assertSame(await loaded(store, "total"), [total(7)])
    }),
    case_(
      "the last message id is not given out again",
      [[session("a"), queued(delivery("a", 1, message(41)))]],
      async (store) => {
        const [found] = await loaded(store, "lastMessageId")
        if (found?.kind !== "lastMessageId" || found.id < 41)
          throw new Error(`expected 41 or more, got ${JSON.stringify(found)}`)
      },
    ),
  ]
}

const subscribed = (topicFilter: string, qos: 0 | 1 | 2): StoredChange => ({
  kind: "subscribed",
  subscription: {
    clientId: "a",
    topicFilter,
    qos,
    noLocal: true,
    retainAsPublished: false,
    retainHandling: 1,
    identifier: 7,
  },
})
const received = (packetId: number): StoredChange => ({ kind: "received", clientId: "a", packetId })
const retained = (id: number, topic: string): StoredChange => ({
  kind: "retained",
  message: message(id, { topic, retain: true }),
})
const total = (value: number) => ({ kind: "total", name: "bytesSent", value }) as const
const will = () =>
  ({
    topic: "w",
    payload: bytes("bye"),
    qos: 2,
    retain: true,
    properties: bytes("\u0003\u0000\u0001x"),
    expirySeconds: 9,
    delaySeconds: 3,
  }) as const

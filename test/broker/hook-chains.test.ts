/** How hooks are asked and told: their order, their answers, what becomes of those that fail. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import { HookChains, type Outcome, Refused } from "../../src/broker/hook-chains.ts"
import type { Awaitable, ConnectedClient, Hooks } from "../../src/broker/hooks.ts"
import type { Admission, Authority, Connecting, Decision } from "../../src/broker/ports.ts"
import { Reason, type SubscribeRequest } from "../../src/codec/index.ts"
import { connecting } from "../support/auth-context.ts"
import { ways } from "../support/door.ts"
import { Late } from "../support/late.ts"
import { microtasks } from "../support/store.ts"

const client = { clientId: "a" } as ConnectedClient
const asking: Connecting = connecting("user", "secret")
const message = ApplicationMessage.create("a/b", "x")
const request: SubscribeRequest = {
  topicFilter: "a/#",
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
}

function chains() {
  const failures: string[] = []
  const hooks = new HookChains((error, hook) => failures.push(`${hook}: ${(error as Error).message ?? error}`))
  return { hooks, failures }
}

/** The deciders: how to register an answer, how to ask, and what is asked about. */
interface Decider {
  readonly name: keyof Hooks
  readonly hook: (answer: (value: unknown, about: unknown) => unknown) => Hooks
  readonly ask: (hooks: HookChains) => Awaitable<Outcome<unknown>>
  readonly value: unknown
  readonly about: unknown
}
const decider = (name: keyof Hooks, chain: keyof HookChains, value: unknown, about: unknown): Decider => ({
  name,
  hook: (answer) => ({ [name]: answer }) as Hooks,
  ask: (hooks) => (hooks[chain] as (value: unknown, about: unknown) => Awaitable<Outcome<unknown>>)(value, about),
  value,
  about,
})
const onAuthenticate: Decider = {
  ...decider("onAuthenticate", "authenticate", true, asking),
  hook: (answer) => ({ onAuthenticate: (client) => answer(true, client) as Decision }),
}
const onMessage = decider("onMessage", "message", message, client)
const deciders: Decider[] = [
  decider("onConnect", "connect", asking, undefined),
  onAuthenticate,
  decider("onSubscribe", "subscribe", request, client),
  decider("onUnsubscribe", "unsubscribe", "a/#", client),
  onMessage,
  decider("onDeliver", "deliver", message, client),
  decider("onWill", "will", message, "a"),
]
/** Those that hand on what they have changed, with two changes. */
const changing: [Decider, first: unknown, second: unknown][] = [
  [deciders[2]!, { ...request, qos: 0 }, { ...request, qos: 2 }],
  [deciders[3]!, "a/b", "a/c"],
  ...deciders
    .slice(4)
    .map((each): [Decider, unknown, unknown] => [each, message.with({ payload: "1" }), message.with({ payload: "2" })]),
]

/** The reason of a refusal; undefined: it is none. */
const reasonOf = (outcome: Outcome<unknown>) => (outcome instanceof Refused ? outcome.reason : undefined)

describe("a hook that nobody has registered is not there", () => {
  const names = ["connect", "authenticate", "subscribe", "unsubscribe", "message", "deliver", "will"] as const
  test("neither before nor after", () => {
    const { hooks } = chains()
    const remove = hooks.use({ onConnected() {} })
    for (const name of names) expect(hooks[name]).toBeUndefined()
    expect(hooks.hasDeliveries).toBe(false)
    remove()
    expect(Object.values(hooks.wants).every((wants) => wants === undefined)).toBe(true)
  })
  test("those that are registered are, until they are taken out", () => {
    const { hooks } = chains()
    const remove = hooks.use(Object.assign({}, ...deciders.map(({ hook }) => hook(() => undefined))))
    for (const name of names) expect(hooks[name]).toBeFunction()
    expect(hooks.hasDeliveries).toBe(true)
    remove()
    for (const name of names) expect(hooks[name]).toBeUndefined()
    expect(hooks.hasDeliveries).toBe(false)
  })
  test("onDelivered alone is a reason to look at deliveries", () => {
    const { hooks } = chains()
    const remove = hooks.use({ onDelivered() {} })
    expect([hooks.hasDeliveries, hooks.deliver]).toEqual([true, undefined])
    remove()
    expect(hooks.hasDeliveries).toBe(false)
  })
})

for (const decider of deciders) {
  const { name, hook, ask, value, about } = decider
  describe(name, () => {
    test("is asked in the order of registration, about what it is to decide on", () => {
      const { hooks } = chains()
      const asked: unknown[] = []
      for (const who of [1, 2, 3]) hooks.use(hook((value, about) => void asked.push([who, value, about])))
      const outcome = ask(hooks)
      expect(outcome).toBe(value)
      const all = name === "onConnect" ? [asking, undefined] : [value, about]
      expect(asked).toEqual([1, 2, 3].map((who) => [who, ...all]))
    })

    test("that answers at once makes no promise, and none that is asked after it", () => {
      const { hooks } = chains()
      hooks.use(hook(() => undefined))
      hooks.use(hook(() => undefined))
      expect(ask(hooks)).not.toBeInstanceOf(Promise)
      hooks.use(hook(() => false))
      expect(ask(hooks)).toBeInstanceOf(Refused)
    })

    for (const [when, give] of ways) {
      test(`that says no ${when} ends it: nobody else is asked`, async () => {
        const { hooks, failures } = chains()
        let asked = 0
        hooks.use(hook(() => give(undefined)))
        hooks.use(hook(() => give(false)))
        hooks.use(hook(() => void asked++))
        expect(reasonOf(await ask(hooks))).toBe(Reason.NotAuthorized)
        expect([asked, failures]).toEqual([0, []])
      })

      test(`a refusal ${when} overrides a yes, before and after it`, async () => {
        const yes = name === "onAuthenticate" ? true : undefined
        for (const answers of [
          [yes, false],
          [false, yes],
        ]) {
          const { hooks } = chains()
          for (const answer of answers) hooks.use(hook(() => give(answer)))
          expect(reasonOf(await ask(hooks))).toBe(Reason.NotAuthorized)
        }
      })

      const noAnswers = [null, "no", 0.5, -1, 256, Number.NaN, () => false, Symbol("no"), 1n]
      for (const answer of name === "onUnsubscribe" ? noAnswers.filter((each) => each !== "no") : noAnswers)
        test(`that answers ${String(answer)} ${when} has refused, and that is reported`, async () => {
          const { hooks, failures } = chains()
          let asked = 0
          hooks.use(hook(() => give(answer)))
          hooks.use(hook(() => void asked++))
          expect(reasonOf(await ask(hooks))).toBe(Reason.ImplementationSpecificError)
          expect([asked, failures.length]).toEqual([0, 1])
          expect(failures[0]).toStartWith(`${name}: a hook answers `)
        })
    }

    const failing: [how: string, fail: () => unknown][] = [
      [
        "throws",
        () => {
          throw new Error("broken")
        },
      ],
      ["rejects", () => Promise.reject(new Error("broken"))],
      ["throws what is no error", () => Promise.reject("broken")],
    ]
    for (const [how, fail] of failing)
      test(`that ${how} has refused, and that is reported`, async () => {
        const { hooks, failures } = chains()
        let asked = 0
        hooks.use(hook(fail))
        hooks.use(hook(() => void asked++))
        expect(reasonOf(await ask(hooks))).toBe(Reason.ImplementationSpecificError)
        expect([asked, failures]).toEqual([0, [`${name}: broken`]])
      })

    test("that answers late makes those behind it wait, and nobody before it", async () => {
      const { hooks } = chains()
      const late = new Late<undefined>()
      const asked: number[] = []
      hooks.use(hook(() => void asked.push(1)))
      hooks.use(hook(() => late.ask("2")))
      hooks.use(hook(() => void asked.push(3)))
      const outcome = ask(hooks)
      expect(outcome).toBeInstanceOf(Promise)
      await microtasks()
      expect(asked).toEqual([1])
      await late.give("2", undefined)
      expect(asked).toEqual([1, 3])
      expect(await outcome).toBe(value)
    })

    test("may answer with any thenable", async () => {
      const { hooks } = chains()
      // biome-ignore lint/suspicious/noThenProperty: that is what this is about
      hooks.use(hook(() => ({ then: (resolve: (answer: unknown) => void) => resolve(false) })))
      expect(reasonOf(await ask(hooks))).toBe(Reason.NotAuthorized)
    })
  })
}

for (const [{ name, hook, ask, value }, first, second] of changing)
  for (const [when, give] of ways)
    test(`${name}: a change ${when} is what the next one sees, and the last is what comes of it`, async () => {
      const { hooks } = chains()
      const seen: unknown[] = []
      const answers = [first, undefined, second, undefined]
      for (const answer of answers) {
        hooks.use(
          hook((value) => {
            seen.push(value)
            return give(answer)
          }),
        )
      }
      const outcome = await ask(hooks)
      expect(seen).toEqual([value, first, first, second])
      expect(outcome).toEqual(second as never)
    })

for (const { name, hook, ask } of deciders.slice(2))
  test(`${name}: a reason is passed on as it is`, async () => {
    for (const reason of [Reason.QuotaExceeded, Reason.NoMatchingSubscribers, Reason.Success]) {
      const { hooks } = chains()
      let asked = 0
      hooks.use(hook(() => reason))
      hooks.use(hook(() => void asked++))
      expect([reasonOf(await ask(hooks)), asked]).toEqual([reason, 0])
    }
  })

describe("onConnect and onAuthenticate", () => {
  for (const { name, hook, ask, value } of deciders.slice(0, 2)) {
    test(`${name}: a refusal is passed on as it is`, async () => {
      const refusal = { reason: Reason.ServerMoved, reasonString: "gone", serverReference: "elsewhere" }
      const { hooks } = chains()
      hooks.use(hook(() => refusal))
      const outcome = await ask(hooks)
      expect((outcome as Refused).refusal).toBe(refusal)
    })
    test(`${name}: one with the reason Success is none: those behind it are asked`, async () => {
      const { hooks } = chains()
      const remove = hooks.use(hook(() => ({ reason: Reason.Success })))
      expect(await ask(hooks)).toBe(value)
      hooks.use(hook(() => false))
      expect(reasonOf(await ask(hooks))).toBe(Reason.NotAuthorized)
      remove()
    })
    test(`${name}: nothing that is answered by mistake is said, it may be a secret`, async () => {
      for (const answer of [{ ...asking }, "secret", { reason: "secret" }]) {
        const { hooks, failures } = chains()
        hooks.use(hook(() => answer))
        expect(reasonOf(await ask(hooks))).toBe(Reason.ImplementationSpecificError)
        expect(failures.join()).not.toContain("secret")
        expect(failures.join()).not.toContain("115")
      }
    })
  }
})

describe("onAuthenticate adds to what has been said", () => {
  const authority: Authority = {}
  const other: Authority = {}
  const cases: [title: string, decision: Decision, answers: Decision[], expected: Decision][] = [
    ["nothing stays nothing", undefined, [undefined], undefined],
    ["yes stays yes", true, [undefined], true],
    ["yes where nothing was said", undefined, [true], true],
    ["yes after yes", true, [true, true], true],
    [
      "an admission stays after a yes",
      { authenticated: true, username: "u" },
      [true],
      { authenticated: true, username: "u" },
    ],
    [
      "an admission where nothing was said",
      undefined,
      [{ authenticated: true, username: "u" }],
      { authenticated: true, username: "u" },
    ],
    ["an admission after a yes", true, [{ authenticated: true, expiresAt: 5 }], { authenticated: true, expiresAt: 5 }],
    [
      "each its own",
      { authenticated: true, username: "u" },
      [
        { authenticated: true, expiresAt: 5 },
        { authenticated: true, authority },
      ],
      { authenticated: true, username: "u", expiresAt: 5, authority },
    ],
    [
      "the later name and the later authority hold",
      { authenticated: true, username: "u", authority },
      [
        { authenticated: true, username: "v" },
        { authenticated: true, authority: other },
      ],
      { authenticated: true, username: "v", authority: other },
    ],
    [
      "what is undefined takes nothing away",
      { authenticated: true, username: "u", expiresAt: 5, authority },
      [
        {
          authenticated: true,
          username: undefined,
          expiresAt: undefined,
          authority: undefined,
        } as unknown as Admission,
      ],
      { authenticated: true, username: "u", expiresAt: 5, authority },
    ],
    [
      "the first deadline holds, if it is the auth's",
      { authenticated: true, expiresAt: 5 },
      [{ authenticated: true, expiresAt: 9 }],
      { authenticated: true, expiresAt: 5 },
    ],
    [
      "the first deadline holds, if it is the hook's",
      { authenticated: true, expiresAt: 9 },
      [{ authenticated: true, expiresAt: 5 }],
      { authenticated: true, expiresAt: 5 },
    ],
    [
      "an accepting refusal takes nothing away",
      { authenticated: true, username: "u" },
      [{ reason: Reason.Success }],
      { authenticated: true, username: "u" },
    ],
  ]
  for (const [title, decision, answers, expected] of cases)
    for (const [when, give] of ways)
      test(`${title}, ${when}`, async () => {
        const { hooks, failures } = chains()
        for (const answer of answers) hooks.use({ onAuthenticate: () => give(answer) })
        expect(await hooks.authenticate!(decision, asking)).toEqual(expected as never)
        expect(failures).toEqual([])
      })
  for (const answer of [
    { authenticated: false },
    { authenticated: false, reason: Reason.Success },
    { authenticated: true, expiresAt: Number.NaN },
    { authenticated: "yes" },
    {},
  ])
    test(`${Bun.inspect(answer, { compact: true })} is no answer`, () => {
      const { hooks, failures } = chains()
      hooks.use({ onAuthenticate: () => answer as unknown as Decision })
      expect(hooks.authenticate!(true, asking)).toBeInstanceOf(Refused)
      expect(failures).toHaveLength(1)
    })
})

describe("onSubscribe changes parts of a subscription", () => {
  const changes: Partial<SubscribeRequest>[] = [
    {},
    { qos: 0 },
    { qos: 2 },
    { topicFilter: "b" },
    { noLocal: true, retainAsPublished: true },
    { retainHandling: 2 },
  ]
  for (const change of changes)
    test(`${JSON.stringify(change)}, and the others stay`, () => {
      const { hooks } = chains()
      hooks.use({ onSubscribe: () => change })
      expect(hooks.subscribe!(request, client)).toEqual({ ...request, ...change })
    })
  test("what is undefined changes nothing, and what belongs to no subscription is left out", () => {
    const { hooks } = chains()
    const answer = { qos: undefined, topicFilter: undefined, clientId: "x" } as unknown as Partial<SubscribeRequest>
    hooks.use({ onSubscribe: () => answer })
    expect(hooks.subscribe!(request, client)).toEqual(request)
  })
  for (const part of [{ qos: 3 }, { qos: "1" }, { retainHandling: 3 }, { topicFilter: 5 }, { noLocal: 1 }])
    test(`${JSON.stringify(part)} is no answer`, () => {
      const { hooks, failures } = chains()
      hooks.use({ onSubscribe: () => part as unknown as Partial<SubscribeRequest> })
      expect(hooks.subscribe!(request, client)).toBeInstanceOf(Refused)
      expect(failures).toHaveLength(1)
    })
})

for (const [name, hook] of [
  ["onMessage", null],
  ["onAuthenticate", true],
  ["onConnected", "x"],
] as const)
  test(`${name} that is ${hook} is refused when it is registered, with all that came with it`, () => {
    const { hooks } = chains()
    const wrong = { onDeliver: () => false, [name]: hook } as unknown as Hooks
    expect(() => hooks.use(wrong)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }))
    expect(hooks.deliver).toBeUndefined()
  })

describe("hooks are taken out", () => {
  test("by the function that registering them gave, however often it is called", () => {
    const { hooks } = chains()
    const asked: string[] = []
    const remove = hooks.use({ onMessage: () => void asked.push("a") })
    hooks.use({ onMessage: () => void asked.push("b") })
    hooks.message!(message, client)
    remove()
    remove()
    hooks.message!(message, client)
    expect(asked).toEqual(["a", "b", "b"])
  })
  test("the same ones twice are asked twice, and taken out one by one", () => {
    const { hooks } = chains()
    let asked = 0
    const same: Hooks = { onMessage: () => void asked++ }
    const removes = [hooks.use(same), hooks.use(same)]
    for (const remove of removes) {
      hooks.message!(message, client)
      remove()
    }
    expect([asked, hooks.message]).toEqual([3, undefined])
  })
  test("a question that is being asked goes on as it began", async () => {
    const { hooks } = chains()
    const late = new Late<undefined>()
    const asked: string[] = []
    hooks.use({ onMessage: () => late.ask("first") })
    const remove = hooks.use({ onMessage: () => void asked.push("second") })
    const outcome = hooks.message!(message, client)
    remove()
    hooks.use({ onMessage: () => void asked.push("third") })
    await late.give("first", undefined)
    expect(await outcome).toBe(message)
    expect(asked).toEqual(["second"])
  })
  test("hooks may take themselves out, and others in, while they are asked", () => {
    const { hooks } = chains()
    const asked: string[] = []
    const remove = hooks.use({
      onMessage() {
        asked.push("once")
        remove()
        hooks.use({ onMessage: () => void asked.push("new") })
      },
    })
    hooks.message!(message, client)
    hooks.message!(message, client)
    expect(asked).toEqual(["once", "new"])
  })
})

test("hooks may be an object of a class: `this` is theirs, private fields included", async () => {
  class Counting implements Hooks {
    #asked = 0
    #told = 0
    onMessage() {
      this.#asked++
      return undefined
    }
    onStarted() {
      this.#told++
    }
    get counts() {
      return [this.#asked, this.#told]
    }
  }
  const { hooks, failures } = chains()
  const counting = new Counting()
  hooks.use(counting)
  hooks.message!(message, client)
  hooks.tell("onStarted")
  await microtasks()
  expect([counting.counts, failures]).toEqual([[1, 1], []])
})

describe("observers are told", () => {
  test("when what is at hand is done, in the order in which it happened and in that of registration", async () => {
    const { hooks } = chains()
    const told: string[] = []
    for (const who of ["a", "b"]) {
      hooks.use({
        onSessionExpired: (clientId) => told.push(`${who} ${clientId}`),
        onStarted: () => told.push(`${who} started`),
      })
    }
    hooks.tell("onSessionExpired", "1")
    hooks.tell("onStarted")
    hooks.tell("onSessionExpired", "2")
    expect(told).toEqual([])
    await Promise.resolve()
    expect(told).toEqual(["a 1", "b 1", "a started", "b started", "a 2", "b 2"])
  })
  test("of what happens while they are told after that", async () => {
    const { hooks } = chains()
    const told: string[] = []
    hooks.use({
      onStarted() {
        hooks.tell("onSessionExpired", "caused")
        told.push("started")
      },
      onSessionExpired: (clientId) => told.push(clientId),
      onStopped: () => told.push("stopped"),
    })
    hooks.tell("onStarted")
    hooks.tell("onStopped", { clients: 0, cutOff: 0, unstored: 0 })
    await microtasks()
    expect(told).toEqual(["started", "stopped", "caused"])
  })
  test("even if another throws or rejects: that is reported", async () => {
    const { hooks, failures } = chains()
    const told: string[] = []
    hooks.use({
      onStarted() {
        throw new Error("broken")
      },
    })
    hooks.use({ onStarted: (async () => Promise.reject(new Error("late"))) as () => void })
    hooks.use({ onStarted: () => told.push("started") })
    hooks.tell("onStarted")
    hooks.tell("onStarted")
    await microtasks()
    expect(told).toEqual(["started", "started"])
    expect(failures.sort()).toEqual(Array(2).fill("onStarted: broken").concat(Array(2).fill("onStarted: late")))
  })
  test("and nobody waits for what they promise", async () => {
    const { hooks } = chains()
    const told: string[] = []
    hooks.use({ onStarted: (() => new Promise(() => {})) as () => void, onStopped: () => told.push("stopped") })
    hooks.tell("onStarted")
    hooks.tell("onStopped", { clients: 0, cutOff: 0, unstored: 0 })
    await Promise.resolve()
    expect(told).toEqual(["stopped"])
  })
  test("not of what was before they were registered", async () => {
    const { hooks } = chains()
    const told: string[] = []
    hooks.use({ onStarted: () => told.push("early") })
    hooks.tell("onStarted")
    hooks.use({ onStarted: () => told.push("late") })
    await microtasks()
    expect(told).toEqual(["early"])
  })
})

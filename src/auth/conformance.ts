/** What every auth must do, as cases for any test runner: `manju/auth-conformance`. */
import {
  type Action,
  type Auth,
  type AuthContext,
  type Authority,
  type Client,
  type Connecting,
  type Decision,
  isAllowing,
  type Logger,
  type Permission,
  Reason,
} from "../broker/ports.ts"

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

/** Who asks to be let in: what of a CONNECT matters to the auth. The rest is as an MQTT 5 client has it at least. */
export interface Credentials extends Partial<Omit<Connecting, "password">> {
  readonly password?: string | Uint8Array | undefined
}

/** Topic names, or filters for `subscribe`. */
export type TopicsByAction = Partial<Record<Action, readonly string[]>>

/**
 * An auth, and what is known of its decisions.
 *
 * @example
 * const subject: AuthSubject = {
 *   make: () => passwords("users.txt"),
 *   accepted: { username: "ada", password: "her password" },
 *   refused: { "a wrong password": { username: "ada", password: "another" }, "nobody": {} },
 * }
 */
export interface AuthSubject {
  /** Makes the auth, not open yet: a new one each time. */
  make(): Auth | PromiseLike<Auth>
  /** A client that it lets in. None: it lets in nobody by itself, as `acl(...)`. */
  readonly accepted?: Credentials
  /** Clients that it does not let in, by what is wrong with them. None: it lets in everybody, as `allowAll()`. */
  readonly refused?: Readonly<Record<string, Credentials>>
  /** Topics that the accepted client may use. */
  readonly allowed?: TopicsByAction
  /** Topics that it may not use. */
  readonly denied?: TopicsByAction
  /** The client that is asked about where none is accepted. Default: an anonymous one. */
  readonly client?: Partial<Client>
}

/** Somebody of whom it is known what should come of it. */
interface Someone {
  readonly name: string
  readonly credentials: Credentials
  readonly isAccepted: boolean
}

const LONGEST_BYTES = 65_535
const SECRET = "conformance, a secret"
/** What is shorter may be in a sentence by chance. */
const SHORTEST_SECRET = 8
const actions: readonly Action[] = ["publish", "subscribe", "receive"]
const reasons = new Set<number>(Object.values(Reason))
const invalidText = Uint8Array.of(0xff, 0xfe, 0x00, 0xc0, 0x80)
const longText = "x".repeat(LONGEST_BYTES)

/** Names that mean something to somebody: to JavaScript, a shell, a database, a file, a topic filter, a terminal. */
const oddNames = [
  ...["", " ", "__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined", "0"],
  ...["../../etc/passwd", "' OR '1'='1", '"; DROP TABLE users; --', "$(reboot)", "{}", "*", "a:b", "a\nb:c"],
  ...["#", "+", "a/+/#", "%u", "%c", "$SYS", "$share/g/t", "\u0000", "\u001b[2J", "\u202eada", "👩‍🚀", longText],
]
const oddTopics = [...oddNames, "/", "//", "a//b", "a/b/", "$SYS/broker", "$share/", `${"a/".repeat(127)}a`]

/**
 * The cases.
 *
 * @example
 * import { test } from "bun:test"
 * import { authConformance } from "manju/auth-conformance"
 *
 * const cases = authConformance({
 *   make: () => passwords("users.txt"),
 *   accepted: { username: "ada", password: "her password" },
 *   refused: {
 *     "a wrong password": { username: "ada", password: "another" },
 *     "a user without a password": { username: "ada" },
 *     "an unknown user": { username: "bob", password: "her password" },
 *     "nobody": {},
 *   },
 *   allowed: { publish: ["lab/door"], subscribe: ["lab/#"], receive: ["lab/door"] },
 *   denied: { publish: ["attic"], subscribe: ["#"] },
 * })
 * for (const { name, run } of cases) test(name, run)
 */
export function authConformance(subject: AuthSubject): ConformanceCase[] {
  const { accepted, refused = {}, allowed = {}, denied = {} } = subject
  const isForEverybody = accepted !== undefined && Object.keys(refused).length === 0

  const case_ = (name: string, look: (auth: Auth, place: Place) => Promise<void>): ConformanceCase => ({
    name,
    async run() {
      const place = new Place()
      const auth = await subject.make()
      await place.open(auth)
      try {
        await look(auth, place)
      } finally {
        place.close()
      }
    },
  })
  const everybody: Someone[] =
    accepted === undefined ? [] : [{ name: "the right one", credentials: accepted, isAccepted: true }]
  for (const [name, credentials] of Object.entries(refused)) everybody.push({ name, credentials, isAccepted: false })
  const strangers = strangersBeside(accepted)
  /** The client that is in, and who decides what it may do. */
  const enter = async (auth: Auth): Promise<{ client: Client; authority: Authority }> => {
    const decision = accepted && (await ask(auth, "the right one", accepted))
    const admission = typeof decision === "object" && "authenticated" in decision ? decision : undefined
    const client: Client = {
      clientId: accepted?.clientId ?? "conformance",
      username: admission?.username ?? accepted?.username,
      protocolLevel: 5,
      remoteAddress: "192.0.2.1",
      listener: "conformance",
      ...subject.client,
    }
    return { client, authority: admission?.authority ?? auth }
  }
  const topics = actions.flatMap((action) => [
    ...(allowed[action] ?? []).map((topic) => ({ action, topic, isAllowed: true })),
    ...(denied[action] ?? []).map((topic) => ({ action, topic, isAllowed: false })),
  ])

  return [
    ...everybody.map((each) =>
      case_(`${each.name} is ${each.isAccepted ? "let in" : "not let in"}`, (auth) => meet(auth, each)),
    ),
    case_("no answer depends on who has asked before", async (auth) => {
      for (const each of [...everybody, ...everybody.toReversed(), ...everybody]) await meet(auth, each)
    }),
    case_("questions that are asked at once are answered each for itself", async (auth) => {
      const rounds = Array.from({ length: 10 }, (_, round) => (round % 2 === 0 ? everybody : everybody.toReversed()))
      await Promise.all(rounds.flat().map((each) => meet(auth, each)))
    }),
    case_("a client that has gone meanwhile is not in the way of one that asks the same", async (auth) => {
      if (accepted === undefined) return
      const gone = ask(auth, "one that has gone", { ...accepted, isGone: () => true })
      await meet(auth, { name: "one that is there", credentials: accepted, isAccepted: true })
      await gone
    }),
    case_(`strangers of every kind are ${isForEverybody ? "answered" : "not let in"}`, async (auth) => {
      await Promise.all(
        Object.entries(strangers).map(async ([name, credentials]) => {
          const decision = await ask(auth, name, credentials)
          if (isAllowing(decision) && !isForEverybody) throw new Error(`${name} is let in`)
        }),
      )
      for (const each of everybody) await meet(auth, each)
    }),
    case_("a client id may be anything", async (auth) => {
      await Promise.all(
        oddNames.map((clientId) => ask(auth, `the client id ${shown(clientId)}`, { ...accepted, clientId })),
      )
    }),
    case_("no password is logged, or told to the client", async (auth, place) => {
      const entries = Object.entries(strangers).map(([name, credentials]) => ({ name, credentials }))
      for (const { name, credentials } of [...everybody, ...entries]) {
        const decision = await ask(auth, name, credentials)
        const reasonString = typeof decision === "object" && "reason" in decision ? (decision.reasonString ?? "") : ""
        const password = textOf(credentials.password)
        const said = [reasonString, ...place.logged].find((line) => line.includes(password))
        if (password.length >= SHORTEST_SECRET && said !== undefined) {
          throw new Error(`the password of ${name} is in ${shown(said)}`)
        }
      }
    }),
    case_("an authentication method that nobody knows is none", async (auth) => {
      const exchange = auth.exchange?.(connectingOf({ ...accepted }), "no such method")
      if (exchange !== undefined) throw new Error("exchange(…) gives something for a method that it cannot know")
    }),
    case_("what the client may do with topics is what it should be", async (auth) => {
      const { client, authority } = await enter(auth)
      for (const { action, topic, isAllowed } of topics) {
        const permission = await permit(authority, client, action, topic)
        if (isPermitted(permission) !== isAllowed) {
          throw new Error(
            `${action} ${topic} should be ${isAllowed ? "allowed" : "denied"}, and is ${shown(permission)}`,
          )
        }
      }
    }),
    case_("a topic may be anything, and so may the client", async (auth) => {
      const { client, authority } = await enter(auth)
      for (const topic of oddTopics) for (const action of actions) await permit(authority, client, action, topic)
      for (const name of oddNames) {
        const odd = { ...client, clientId: name, username: name }
        for (const action of actions) await permit(authority, odd, action, "a/b")
      }
    }),
    case_("an answer that may be kept stays the same", async (auth) => {
      const { client, authority } = await enter(auth)
      if (authority.isCacheable !== true) return
      const questions = [...topics, ...oddTopics.flatMap((topic) => actions.map((action) => ({ action, topic })))]
      const answers = new Map<string, Permission>()
      for (const { action, topic } of [...questions, ...questions.toReversed()]) {
        const question = `${action} ${topic}`
        const answer = await permit(authority, client, action, topic)
        if (answers.has(question) && answers.get(question) !== answer) {
          throw new Error(`${shown(question)} was ${shown(answers.get(question))}, and is ${shown(answer)}`)
        }
        answers.set(question, answer)
      }
    }),
    case_("a client that is in may stay", async (auth) => {
      const { client, authority } = await enter(auth)
      const mayStay = await authority.mayStay?.(client)
      if (mayStay !== undefined && mayStay !== true) throw new Error(`mayStay(…) is ${shown(mayStay)}`)
    }),
    {
      name: "it can be closed, twice, and opened again",
      async run() {
        const auth = await subject.make()
        for (let time = 0; time < 3; time++) {
          const place = new Place()
          await place.open(auth)
          for (const each of everybody) await meet(auth, each)
          place.close()
          place.close()
        }
      },
    },
    case_("another that is closed is not missed", async (auth) => {
      const place = new Place()
      await place.open(await subject.make())
      place.close()
      for (const each of everybody) await meet(auth, each)
    }),
  ]
}

/** What an auth is given here. Files do not change, and time is the machine's. */
class Place implements AuthContext {
  /** What has been logged. */
  readonly logged: string[] = []
  readonly logger: Logger
  readonly clock = {
    now: () => Date.now(),
    every(intervalMs: number, tick: () => void) {
      const timer = setInterval(tick, intervalMs)
      return () => clearInterval(timer)
    },
  }
  private readonly opened = new Map<Auth, Promise<void>>()

  constructor() {
    const log = (message: string) => void this.logged.push(message)
    this.logger = { debug: log, info: log, warn: log, error: log }
  }

  open(auth: Auth): Promise<void> {
    const opening = this.opened.get(auth) ?? Promise.try(async () => auth.open?.(this))
    this.opened.set(auth, opening)
    return opening
  }

  close(): void {
    for (const auth of this.opened.keys()) auth.close?.()
  }

  watch(): () => void {
    return () => {}
  }

  changed(): void {}
}

/** Clients that nobody should know, by what they are. */
function strangersBeside(accepted: Credentials | undefined): Record<string, Credentials> {
  const { username, password } = accepted ?? {}
  const right = textOf(password)
  const nearly = [
    ...[`${right}\0`, `${right}\n`, ` ${right}`, right.slice(0, -1), right + right],
    ...[(right + longText).slice(0, LONGEST_BYTES), "", invalidText],
  ].filter((wrong) => wrong !== right)
  return Object.fromEntries<Credentials>([
    ...oddNames.map((name) => [`the user ${shown(name)}`, { username: name, password: SECRET }] as const),
    ["a user with the longest password", { username: "stranger", password: longText }],
    ["a user whose password is no text", { username: "stranger", password: invalidText }],
    ["a user without a password", { username: "stranger" }],
    ["a user with an empty password", { username: "stranger", password: "" }],
    ...(username === undefined || password === undefined
      ? []
      : nearly.map(
          (wrong) =>
            [`${shown(username)} with the password ${shown(wrong)}`, { ...accepted, password: wrong }] as const,
        )),
  ])
}

/** Asks about somebody who is let in, or is not. */
async function meet(auth: Auth, { name, credentials, isAccepted }: Someone): Promise<void> {
  const decision = await ask(auth, name, credentials)
  if (isAllowing(decision) === isAccepted) return
  throw new Error(`${name} is ${isAccepted ? "not let in" : "let in"}: ${shown(decision)}`)
}

async function ask(auth: Auth, name: string, credentials: Credentials): Promise<Decision> {
  let decision: Decision
  try {
    decision = await auth.authenticate(connectingOf(credentials))
  } catch (error) {
    throw new Error(`authenticate(…) throws for ${name}: ${error}`, { cause: error })
  }
  if (!isDecision(decision)) throw new Error(`authenticate(…) gives ${shown(decision)} for ${name}`)
  return decision
}

async function permit(authority: Authority, client: Client, action: Action, topic: string): Promise<Permission> {
  if (authority.authorize === undefined) return true
  let permission: Permission
  try {
    permission = await authority.authorize(client, action, topic)
  } catch (error) {
    throw new Error(`authorize(…) throws for ${action} ${shown(topic)}: ${error}`, { cause: error })
  }
  const isPermission = permission === undefined || typeof permission === "boolean" || reasons.has(permission)
  if (!isPermission) throw new Error(`authorize(…) gives ${shown(permission)} for ${action} ${shown(topic)}`)
  return permission
}

function isPermitted(permission: Permission): boolean {
  return permission === true || permission === Reason.Success
}

/** Whether it is one of what `Decision` says, in every part that the broker uses. */
function isDecision(decision: unknown): boolean {
  if (decision === undefined || typeof decision === "boolean") return true
  if (typeof decision !== "object" || decision === null) return false
  const parts = decision as Record<string, unknown>
  const isOptional = (name: string, type: string) => parts[name] === undefined || typeof parts[name] === type
  if ("authenticated" in parts) {
    const isTime = parts.expiresAt === undefined || Number.isFinite(parts.expiresAt)
    return (
      parts.authenticated === true && isOptional("username", "string") && isTime && isOptional("authority", "object")
    )
  }
  return (
    reasons.has(parts.reason as number) &&
    isOptional("reasonString", "string") &&
    isOptional("serverReference", "string")
  )
}

function connectingOf({ password, ...credentials }: Credentials): Connecting {
  return {
    clientId: "conformance",
    username: undefined,
    password: typeof password === "string" ? Buffer.from(password) : password,
    protocolLevel: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    userProperties: [],
    remoteAddress: "192.0.2.1",
    listener: "conformance",
    ...credentials,
  }
}

function textOf(password: string | Uint8Array = ""): string {
  return Buffer.from(password as Uint8Array).toString()
}

/** For an error, in one line that is not too long. */
function shown(value: unknown): string {
  const text = Bun.inspect(value, { depth: 1 }).replaceAll(/\s+/g, " ")
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

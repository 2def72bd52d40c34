/**
 * Auths made of others: `all(...)` and `any(...)`.
 *
 * In both, a member that denies has denied for all of them, whatever the others say, and a member that says nothing
 * (undefined) leaves it to the others; if all say nothing, so does the whole. They differ in what an admission is. In `all`
 * everybody who says yes has a part in it: the members go through the client one after another, and what one establishes
 * the next already sees. In `any` the first that says yes has let the client in, and the client is that member's.
 *
 * Members are asked in the order in which they are given. As long as they answer at once, so does the whole; the rest of
 * a question waits for a promise. What a member throws or rejects with is passed on, which is a refusal.
 *
 * Who may come in is asked of all of them, also after a denial: a wrong password takes the work of all, whichever of them
 * knows the user, if any does. And a plain no counts for less than a denial that says more, since that one would have been
 * the answer to a user whom nobody knows. So neither time nor reason tell which users there are.
 */
import {
  type Action,
  type Auth,
  type Authenticated,
  type Authority,
  type Client,
  type Connecting,
  type Decision,
  type Exchange,
  type ExchangeStep,
  isAdmission,
  isAllowing,
  isPromise,
  ManjuError,
  type Permission,
  Reason,
  type Refusal,
} from "../broker/ports.ts"

/**
 * Lets in who is denied by none of the auths and allowed by at least one of them; after that too, all of them decide what
 * the client may do.
 *
 * - A denial is final. An auth that has no opinion (undefined) leaves it to the others. So this is not «both have to say
 *   yes»: `all(jwt(...), passwords(...))` lets a user in who has a password and no token, since a password is nothing that
 *   `jwt` would judge. Two proofs at once are for an auth of your own to ask.
 * - The user name is the one that the last of them has established; those behind see it in place of the CONNECT's.
 * - The admission ends when the first of theirs does.
 * - Topics: again nobody denies and one allows. An auth without `authorize`, like `passwords(...)`, has no opinion here; if
 *   none has one, everything is allowed, as it is with that auth alone.
 * - Enhanced authentication goes to the first auth that knows the method; when it has succeeded, the others are asked to
 *   authenticate the client as well, in their order.
 *
 * Throws `INVALID_OPTION` without any auth.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: all(passwords("users.txt"), acl("acl.txt")) }))
 */
export function all(...auths: Auth[]): Auth {
  const members = membersOf("all", auths)
  return {
    ...together(members),
    ...lifeOf(members),
    authenticate: (connecting) => askInTurn(members, new Everybody(connecting), authenticateMember),
    exchange: (connecting, method) => exchangeOfAll(members, connecting, method),
  }
}

/**
 * Lets in who is denied by none of the auths and allowed by at least one of them; the first that has allowed the client
 * decides alone on what it may do.
 *
 * An auth that has no opinion (undefined) leaves it to the others: a token that is none to `jwt(...)`, a user whom
 * `passwords(...)` does not know. One that denies has denied for all. Enhanced authentication goes to the first auth that
 * knows the method, and it alone decides then: what must hold for everybody is put around, as `all(banned, any(...))`.
 *
 * Throws `INVALID_OPTION` without any auth.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: any(jwt({ jwks: "keys.json" }), passwords("users.txt")) }))
 */
export function any(...auths: Auth[]): Auth {
  const members = membersOf("any", auths)
  return {
    ...together(members),
    ...lifeOf(members),
    authenticate: (connecting) => askInTurn(members, new First(connecting), authenticateMember),
    exchange: (connecting, method) => exchangeOfAny(members, connecting, method),
  }
}

function membersOf(name: string, auths: readonly Auth[]): readonly Auth[] {
  if (auths.length === 0) throw new ManjuError("INVALID_OPTION", `${name}() takes at least one auth`)
  return [...new Set(auths)]
}

/** The members are opened with the whole. The broker closes them: others may have them too. */
function lifeOf(members: readonly Auth[]): Required<Pick<Auth, "open">> {
  return {
    async open(context) {
      for (const member of members) await context.open(member)
    },
  }
}

// Who comes in

/** What has been said of a client so far. */
interface Gathering {
  /** The client, as the next member is to see it. */
  connecting: Connecting
  /** Takes what a member has said. Returns it if it is a denial. */
  take(decision: Decision, member: Auth): Denial | undefined
  /** What follows from it if nobody has denied. */
  decision(): Decision
}

type Denial = false | Refusal

type AskMember = (member: Auth, connecting: Connecting) => Decision | PromiseLike<Decision>

const authenticateMember: AskMember = (member, connecting) => member.authenticate(connecting)

/** Asks the members from `from` on; before that it has been denied so, if it has. */
function askInTurn(
  members: readonly Auth[],
  gathering: Gathering,
  ask: AskMember,
  from = 0,
  deniedBefore?: Denial,
): Decision | Promise<Decision> {
  let denied = deniedBefore
  for (let at = from; at < members.length; at++) {
    const member = members[at]!
    const answer = ask(member, gathering.connecting)
    if (isPromise(answer)) {
      return Promise.resolve(answer).then((decision) =>
        askInTurn(members, gathering, ask, at + 1, weightier(denied, gathering.take(decision, member))),
      )
    }
    denied = weightier(denied, gathering.take(answer, member))
  }
  return denied ?? gathering.decision()
}

/** The denial that counts: the first that is not just a plain no. */
function weightier(before: Denial | undefined, denial: Denial | undefined): Denial | undefined {
  return before === undefined || (denial !== undefined && isPlain(before) && !isPlain(denial)) ? denial : before
}

/** Whether it is what a wrong password gets and, with a user name, a user whom nobody knows. */
function isPlain(denial: Denial): boolean {
  return denial === false || (denial.reason === Reason.BadUserNameOrPassword && denial.reasonString === undefined)
}

class Everybody implements Gathering {
  connecting: Connecting
  private isAllowed = false
  private username: string | undefined
  private expiresAt: number | undefined
  /** Who decides for the members that have named somebody. */
  private readonly authorities: Authority[] = []
  private hasOtherAuthorities = false

  constructor(connecting: Connecting) {
    this.connecting = connecting
  }

  take(decision: Decision, member: Auth): Denial | undefined {
    if (isDenial(decision)) return decision ?? false // null
    this.isAllowed ||= decision !== undefined
    const { username, expiresAt, authority = member } = admissionOf(decision)
    if (username !== undefined) {
      this.username = username
      this.connecting = { ...this.connecting, username }
    }
    if (expiresAt !== undefined) this.expiresAt = Math.min(expiresAt, this.expiresAt ?? expiresAt)
    this.authorities.push(authority)
    this.hasOtherAuthorities ||= authority !== member
    return undefined
  }

  decision(): Decision {
    if (!this.isAllowed) return undefined
    const { username, expiresAt } = this
    if (username === undefined && expiresAt === undefined && !this.hasOtherAuthorities) return true
    return {
      authenticated: true,
      ...(username !== undefined && { username }),
      ...(expiresAt !== undefined && { expiresAt }),
      ...(this.hasOtherAuthorities && { authority: together(this.authorities) }),
    }
  }
}

class First implements Gathering {
  readonly connecting: Connecting
  private admission: Decision

  constructor(connecting: Connecting) {
    this.connecting = connecting
  }

  take(decision: Decision, member: Auth): Denial | undefined {
    if (isDenial(decision)) return decision ?? false // null
    if (decision !== undefined) this.admission ??= admissionBy(member, decision)
    return undefined
  }

  decision(): Decision {
    return this.admission
  }
}

function exchangeOfAll(members: readonly Auth[], connecting: Connecting, method: string): Exchange | undefined {
  const found = knowing(members, connecting, method)
  if (found === undefined) return undefined
  const conclude = (step: ExchangeStep): ExchangeStep | Promise<ExchangeStep> => {
    if (!isSuccess(step)) return step
    const ask: AskMember = (member, client) => (member === found.member ? step : member.authenticate(client))
    const decision = askInTurn(members, new Everybody(connecting), ask)
    return isPromise(decision) ? decision.then((each) => withData(each, step)) : withData(decision, step)
  }
  return { next: (data) => then(found.exchange.next(data), conclude) }
}

function exchangeOfAny(members: readonly Auth[], connecting: Connecting, method: string): Exchange | undefined {
  const found = knowing(members, connecting, method)
  if (found === undefined) return undefined
  const conclude = (step: ExchangeStep): ExchangeStep => (isSuccess(step) ? admissionBy(found.member, step) : step)
  return { next: (data) => then(found.exchange.next(data), conclude) }
}

/** The first member that knows the method. */
function knowing(members: readonly Auth[], connecting: Connecting, method: string) {
  for (const member of members) {
    const exchange = member.exchange?.(connecting, method)
    if (exchange !== undefined) return { member, exchange }
  }
  return undefined
}

function withData(decision: Decision, step: Decision | Authenticated): ExchangeStep {
  if (typeof step !== "object" || !("data" in step) || !isSuccess(decision)) return decision
  return { ...admissionOf(decision), authenticated: true, ...(step.data !== undefined && { data: step.data }) }
}

/** Whether it lets the client in. */
function isSuccess(step: ExchangeStep): step is Exclude<Decision, undefined> {
  return step !== undefined && !(typeof step === "object" && step !== null && "challenge" in step) && isAllowing(step)
}

function isDenial(decision: Decision): decision is Denial {
  return decision !== undefined && !isAllowing(decision)
}

/** What an admission says beyond that it is one. */
function admissionOf(decision: Decision): Partial<Authenticated> {
  return isAdmission(decision) ? decision : {}
}

/** The client is that member's, unless it has named somebody else. */
function admissionBy(member: Auth, decision: Decision): Authenticated {
  const { authority, ...rest } = admissionOf(decision)
  return { ...rest, authenticated: true, authority: authority ?? member }
}

// What a client may do that is in

/** The members as one authority; without `authorize` or `mayStay` where none of them has it. One that believes names is enough. */
function together(members: readonly Authority[]): Authority {
  const deciding = members.filter((member) => member.authorize !== undefined)
  const watching = members.filter((member) => member.mayStay !== undefined)
  return {
    ...(deciding.length > 0 && {
      authorize: (client: Client, action: Action, topic: string) => permissionOf(deciding, client, action, topic),
      explain: (client: Client, action: Action, topic: string) => explainAll(members, client, action, topic),
      isCacheable: deciding.every((member) => member.isCacheable === true),
    }),
    ...(watching.length > 0 && { mayStay: (client: Client) => mayStay(watching, client) }),
    ...(members.some((member) => member.believesNames === true) && { believesNames: true }),
  }
}

function permissionOf(
  members: readonly Authority[],
  client: Client,
  action: Action,
  topic: string,
  from = 0,
  isAllowedBefore = false,
): Permission | PromiseLike<Permission> {
  let isAllowed = isAllowedBefore
  for (let at = from; at < members.length; at++) {
    const permission = members[at]!.authorize!(client, action, topic)
    if (isPromise(permission)) {
      return Promise.resolve(permission).then((answer) =>
        isForbidding(answer)
          ? answer
          : permissionOf(members, client, action, topic, at + 1, isAllowed || answer !== undefined),
      )
    }
    if (isForbidding(permission)) return permission
    isAllowed ||= permission !== undefined
  }
  return isAllowed ? true : undefined
}

/** Why they decide as they do: the first that forbids says so, or those who allow, or all who have no opinion. */
async function explainAll(
  members: readonly Authority[],
  client: Client,
  action: Action,
  topic: string,
): Promise<string> {
  const allowing: string[] = []
  const silent: string[] = []
  for (const [at, member] of members.entries()) {
    if (member.authorize === undefined) continue
    const permission = await member.authorize(client, action, topic)
    const answer = isForbidding(permission) ? "refuses it" : permission === undefined ? "has no opinion" : "allows it"
    const words = (await member.explain?.(client, action, topic)) ?? `auth ${at + 1} of ${members.length} ${answer}`
    if (isForbidding(permission)) return words
    if (permission === undefined) silent.push(words)
    else allowing.push(words)
  }
  return (allowing.length > 0 ? allowing : silent).join("; ")
}

function isForbidding(permission: Permission): boolean {
  return permission !== undefined && permission !== true && permission !== Reason.Success
}

function mayStay(members: readonly Authority[], client: Client, from = 0): boolean | PromiseLike<boolean> {
  for (let at = from; at < members.length; at++) {
    const answer = members[at]!.mayStay!(client)
    if (isPromise(answer)) return Promise.resolve(answer).then((stays) => stays && mayStay(members, client, at + 1))
    if (!answer) return false
  }
  return true
}

/** Goes on at once with an answer that is there. */
function then<A, B>(answer: A | PromiseLike<A>, next: (answer: A) => B | PromiseLike<B>): B | PromiseLike<B> {
  return isPromise(answer) ? answer.then(next) : next(answer)
}

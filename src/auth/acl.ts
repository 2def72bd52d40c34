/**
 * Access rules on topics, from a file in Mosquitto's format or as values.
 *
 * What holds for a client are the rules of its user, or those for clients without a user name, and the rules for
 * everybody. Any rule that denies outweighs those that allow, in whatever order they stand. (Mosquitto lets a user's `topic`
 * win over a `pattern deny`; its manual says that denials come first, and so they do here.) Where no rule matches there is
 * no answer: a refusal, unless an auth beside it knows better.
 *
 * A subscription is granted if a topic that may be read could match it, unless it is denied as a whole; what is delivered
 * is then decided message by message. A filter that begins with a wildcard does not reach `$SYS`: that takes rules of its own.
 */
import type { Action, Auth, AuthContext, Client } from "../broker/ports.ts"
import { explainRules, type RuleSource } from "./acl-explain.ts"
import { type AclRule, readAclFile } from "./acl-file.ts"
import { making } from "./options.ts"
import { type Access, Rules, verdictOf } from "./rules.ts"
import { followFile } from "./text-file.ts"

/** Allows or denies what a topic filter matches; `%u` and `%c` in a level stand for the client's user name and id. */
export type AclTopic =
  | { readonly allow: Access; readonly deny?: never; readonly filter: string }
  | { readonly deny: Access; readonly allow?: never; readonly filter: string }

/** Rules for a user or several, for all clients without a user name, or for everybody. */
export type AclEntry = { readonly topics: readonly AclTopic[] } & (
  | { readonly user: string | readonly string[]; readonly anonymous?: never; readonly everybody?: never }
  | { readonly anonymous: true; readonly user?: never; readonly everybody?: never }
  | { readonly everybody: true; readonly user?: never; readonly anonymous?: never }
)

/**
 * What clients may publish and subscribe to, by rules. It says nothing on who may come in: put it beside an auth that does,
 * with `all(...)`.
 *
 * `rules` is the path of an ACL file as Mosquitto has it, or the rules as values. The file is read when the first listener
 * opens, which fails when it is missing or has a line that is not understood (`acl.txt:3: ...`); it is read again when it
 * has changed, and a client with a subscription that it would not allow any more is disconnected (0x87). A bad new file is
 * logged, and the old one stays in force. Throws `INVALID_OPTION` for values that are no rules.
 *
 * @example
 * const auth = all(passwords("users.txt"), acl("acl.txt"))
 *
 * @example
 * const auth = all(passwords("users.txt"), acl([
 *   { user: "ada", topics: [{ allow: "readwrite", filter: "lab/#" }, { deny: "write", filter: "lab/safe" }] },
 *   { everybody: true, topics: [{ allow: "write", filter: "sensors/%c/data" }] },
 *   { anonymous: true, topics: [{ allow: "read", filter: "$SYS/#" }] },
 * ]))
 */
export function acl(rules: string | readonly AclEntry[]): Auth {
  return typeof rules === "string" ? new AclFile(rules) : new Acl(making(() => new Compiled(rulesIn(rules))))
}

/** Rules, by whose they are. */
class Compiled {
  /** Where they come from, to be gone through once more by whoever wants to know which of them it was. */
  readonly source: RuleSource
  private readonly everybody = new Rules()
  private readonly anonymous = new Rules()
  private readonly users = new Map<string, Rules>()

  /** Throws what is wrong with a rule. */
  constructor(source: RuleSource) {
    this.source = source
    source(({ whose, verdict, access, filter, isPattern }) => {
      this.ofWhom(whose).add(verdict, access, filter, isPattern)
    })
  }

  verdict(client: Client, action: Action, topic: string): boolean | undefined {
    const own = client.username === undefined ? this.anonymous : this.users.get(client.username)
    return verdictOf((own?.say(topic, client) ?? 0) | this.everybody.say(topic, client), action)
  }

  private ofWhom(whose: AclRule["whose"]): Rules {
    if (whose === "everybody") return this.everybody
    if (whose === "anonymous") return this.anonymous
    let rules = this.users.get(whose.user)
    if (rules === undefined) this.users.set(whose.user, (rules = new Rules()))
    return rules
  }
}

class Acl implements Auth {
  readonly isCacheable = true
  protected rules: Compiled | undefined
  private readonly name: string

  /** `name`: what people call it. */
  constructor(rules: Compiled | undefined, name = "acl(...)") {
    this.rules = rules
    this.name = name
  }

  authenticate(): undefined {
    return undefined
  }

  authorize(client: Client, action: Action, topic: string): boolean | undefined {
    return this.openRules().verdict(client, action, topic)
  }

  explain(client: Client, action: Action, topic: string): string {
    return explainRules(this.openRules().source, this.name, client, action, topic)
  }

  private openRules(): Compiled {
    if (this.rules === undefined) throw new Error("acl() is not open")
    return this.rules
  }
}

class AclFile extends Acl {
  private text: string | undefined
  private stopFollowing: (() => void) | undefined
  private readonly path: string

  constructor(path: string) {
    super(undefined, path)
    this.path = path
  }

  async open(context: AuthContext): Promise<void> {
    if (this.stopFollowing !== undefined) throw new Error(`acl(${this.path}) is open: each broker needs its own`)
    this.stopFollowing = await followFile(this.path, context, (text) => {
      if (text === this.text) return
      this.rules = new Compiled((take) => {
        readAclFile(this.path, text, (rule, line) => take(rule, `${this.path}:${line}`))
      })
      this.text = text
      if (this.stopFollowing !== undefined) context.changed()
    })
  }

  close(): void {
    this.stopFollowing?.()
    this.stopFollowing = undefined
  }
}

function rulesIn(entries: readonly AclEntry[]): RuleSource {
  return (take) => {
    for (const [index, entry] of entries.entries()) {
      const entryName = `acl: rule ${index + 1}`
      const whose = whoseIs(entry, entryName)
      if (!Array.isArray(entry.topics)) throw new Error(`${entryName}: "topics" takes a list`)
      for (const [at, topic] of (entry.topics as AclTopic[]).entries()) {
        const place = `${entryName}, topic ${at + 1}`
        const verdict = accessOf(topic, place)
        for (const each of whose) {
          try {
            take({ whose: each, ...verdict, filter: topic.filter, isPattern: true }, place)
          } catch (error) {
            throw new Error(`${place}: ${(error as Error).message}`, { cause: error })
          }
        }
      }
    }
  }
}

function whoseIs(entry: AclEntry, name: string): AclRule["whose"][] {
  const { user, anonymous, everybody, topics: _, ...others } = entry
  const users = typeof user === "string" ? [user] : user
  const isUsers = Array.isArray(users) && users.every((each) => typeof each === "string")
  const said = [isUsers, anonymous === true, everybody === true].filter(Boolean)
  if (said.length !== 1 || Object.keys(others).length > 0 || (users !== undefined && !isUsers)) {
    throw new Error(
      `${name}: takes "topics" and one of "user" (a name, or several), "anonymous: true", "everybody: true"`,
    )
  }
  return users?.map((each) => ({ user: each })) ?? [everybody ? "everybody" : "anonymous"]
}

function accessOf(topic: AclTopic, name: string): Pick<AclRule, "verdict" | "access"> {
  const { allow, deny, filter, ...others } = topic
  const access = allow ?? deny
  const isAccess = access === "read" || access === "write" || access === "readwrite"
  const isOne = (allow === undefined) !== (deny === undefined)
  if (!isAccess || !isOne || typeof filter !== "string" || Object.keys(others).length > 0) {
    throw new Error(`${name}: takes "filter" and one of "allow", "deny", which take read, write or readwrite`)
  }
  return { verdict: deny === undefined ? "allow" : "deny", access }
}

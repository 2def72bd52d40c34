/**
 * Which rule it is that decides, for whoever asks. The tree in which rules are looked up knows only what they say together; here they are
 * gone through one by one, from where they come.
 */
import type { Action, Client } from "../broker/ports.ts"
import type { AclRule } from "./acl-file.ts"
import { type Access, Rules, verdictOf } from "./rules.ts"

/** Gives `take` rule after rule, with the place where it stands: `acl.txt:14`. */
export type RuleSource = (take: (rule: AclRule, place: string) => void) => void

interface Found {
  readonly rule: AclRule
  readonly place: string
}

const verbs: Readonly<Record<Access, string>> = { read: "read", write: "write", readwrite: "read and write" }
const needed: Readonly<Record<Action, string>> = { publish: "write", subscribe: "read", receive: "read" }

/** `name`: what to call all of them. */
export function explainRules(source: RuleSource, name: string, client: Client, action: Action, topic: string): string {
  let denying: Found | undefined
  let allowing: Found | undefined
  let other: Found | undefined
  source((rule, place) => {
    const { verdict, access, filter, isPattern } = rule
    if (denying !== undefined || !isFor(rule, client)) return
    const alone = new Rules()
    alone.add(verdict, access, filter, isPattern)
    const said = alone.say(topic, client)
    const answer = verdictOf(said, action)
    if (answer === false) denying = { rule, place }
    else if (answer === true) allowing ??= { rule, place }
    else if (said !== 0) other ??= { rule, place }
  })
  const deciding = denying ?? allowing
  if (deciding !== undefined) return inWords(deciding)
  const whom = client.username === undefined ? "clients without a user name" : `user ${client.username}`
  const none = `${name} has no rule that lets ${whom} ${needed[action]} ${topic}`
  return other === undefined ? none : `${none}; ${inWords(other)}`
}

function isFor({ whose }: AclRule, { username }: Client): boolean {
  if (whose === "everybody") return true
  return whose === "anonymous" ? username === undefined : whose.user === username
}

function inWords({ rule: { whose, verdict, access, filter }, place }: Found): string {
  const whom =
    typeof whose === "object" ? `user ${whose.user}` : whose === "everybody" ? whose : "clients without a user name"
  return verdict === "allow"
    ? `${place} lets ${whom} ${verbs[access]} ${filter}`
    : `${place} forbids ${whom} to ${verbs[access]} ${filter}`
}

/**
 * What the claims of a token say of topics.
 *
 *     "publish": ["sensors/%c/#"]         filters of what it may publish to
 *     "subscribe": ["news/#"]             filters of what it may subscribe to and receive
 *     "acl": [{ "permission": "deny", "action": "subscribe", "topic": "news/secret" }]      as EMQX has it
 *
 * `%u` and `%c` (or EMQX's `${username}` and `${clientid}`) stand for the user name and the client id. A denial outweighs
 * what allows, wherever it stands in the list. What is not understood here is an error: it might have been a restriction.
 */
import { type Access, Rules } from "./rules.ts"

/** The names of the claims. */
export interface ClaimNames {
  readonly publish: string
  readonly subscribe: string
  readonly acl: string
}

const accesses: Record<string, Access | undefined> = { publish: "write", subscribe: "read", all: "readwrite" }

/** Undefined where the claims say nothing of topics. Throws what is wrong with them. */
export function rulesOf(claims: Readonly<Record<string, unknown>>, names: ClaimNames): Rules | undefined {
  const { [names.publish]: publish, [names.subscribe]: subscribe, [names.acl]: acl } = claims
  if (publish === undefined && subscribe === undefined && acl === undefined) return undefined
  const rules = new Rules()
  for (const filter of listOf(publish, names.publish)) add(rules, "allow", "write", filter, names.publish)
  for (const filter of listOf(subscribe, names.subscribe)) add(rules, "allow", "read", filter, names.subscribe)
  for (const rule of listOf(acl, names.acl)) addRule(rules, rule, names.acl)
  return rules
}

function addRule(rules: Rules, rule: unknown, name: string): void {
  const { permission, action, topic, ...others } = Object(rule) as Record<string, unknown>
  const access = typeof action === "string" && Object.hasOwn(accesses, action) ? accesses[action] : undefined
  const isVerdict = permission === "allow" || permission === "deny"
  const isExact = typeof topic === "string" && topic.startsWith("eq ") // EMQX: this filter, not what it matches
  if (access === undefined || !isVerdict || isExact || Object.keys(others).length > 0) throw misunderstood(name)
  add(rules, permission, access, topic, name)
}

function add(rules: Rules, verdict: "allow" | "deny", access: Access, filter: unknown, name: string): void {
  if (typeof filter !== "string") throw misunderstood(name)
  try {
    rules.add(verdict, access, filter.replaceAll(/\$\{username\}/g, "%u").replaceAll(/\$\{clientid\}/g, "%c"), true)
  } catch {
    throw misunderstood(name) // a claim is not quoted
  }
}

function listOf(claim: unknown, name: string): readonly unknown[] {
  if (claim === undefined) return []
  if (!Array.isArray(claim)) throw misunderstood(name)
  return claim
}

function misunderstood(name: string): Error {
  return new Error(`the token's claim "${name}" is not understood`)
}

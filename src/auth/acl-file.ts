/**
 * Mosquitto's ACL file, line by line.
 *
 *     # before the first user: clients without a user name
 *     topic read $SYS/#
 *
 *     user ada
 *     topic readwrite home/living room/#
 *     topic deny home/living room/safe
 *
 *     # for everybody, wherever it stands
 *     pattern write sensors/%c/data
 *
 * Without `read`, `write`, `readwrite` or `deny` a rule is one for reading and writing; a filter with spaces needs one of
 * them. A comment has a line of its own.
 */
import type { Access } from "./rules.ts"
import { FileError, trim } from "./text-file.ts"

/** One rule, wherever it comes from. */
export interface AclRule {
  readonly whose: "everybody" | "anonymous" | { readonly user: string }
  readonly verdict: "allow" | "deny"
  readonly access: Access
  readonly filter: string
  /** Whether `%u` and `%c` are filled in. */
  readonly isPattern: boolean
}

const verdicts = new Map<string, Pick<AclRule, "verdict" | "access">>([
  ["read", { verdict: "allow", access: "read" }],
  ["write", { verdict: "allow", access: "write" }],
  ["readwrite", { verdict: "allow", access: "readwrite" }],
  ["deny", { verdict: "deny", access: "readwrite" }],
])

/** Gives `take` rule after rule, with the line where it stands. Throws what is wrong with a line, or what `take` throws, as a `FileError`. */
export function readAclFile(path: string, text: string, take: (rule: AclRule, line: number) => void): void {
  let whose: AclRule["whose"] = "anonymous"
  for (const [index, line] of text.split("\n").entries()) {
    try {
      const [keyword, rest] = split(trim(line))
      if (keyword === "" || keyword.startsWith("#")) continue
      else if (keyword === "user") whose = { user: usernameOf(rest) }
      else if (keyword === "topic") take({ whose, ...ruleOf(rest), isPattern: false }, index + 1)
      else if (keyword === "pattern") take({ whose: "everybody", ...ruleOf(rest), isPattern: true }, index + 1)
      else throw new Error("takes «user», «topic» or «pattern» at the beginning")
    } catch (error) {
      throw new FileError(path, index + 1, (error as Error).message, { cause: error })
    }
  }
}

function usernameOf(rest: string): string {
  if (rest === "") throw new Error("a user name is missing")
  return rest
}

function ruleOf(rest: string): Pick<AclRule, "verdict" | "access" | "filter"> {
  if (rest === "") throw new Error("a topic filter is missing")
  const [first, filter] = split(rest)
  if (filter === "") return { verdict: "allow", access: "readwrite", filter: first }
  const verdict = verdicts.get(first)
  if (verdict === undefined) throw new Error("takes read, write, readwrite or deny before a topic filter with spaces")
  return { ...verdict, filter }
}

/** The first word, and what comes behind the blanks that follow it. */
function split(text: string): readonly [first: string, rest: string] {
  const end = text.search(/[\t ]/)
  return end < 0 ? [text, ""] : [text.slice(0, end), trim(text.slice(end))]
}

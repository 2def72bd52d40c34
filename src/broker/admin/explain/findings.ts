import type { ExplanationSide, Finding, FindingCode, FindingEffect } from "../../explanation.ts"

const order: readonly FindingEffect[] = ["stops", "may stop", "passes", "note"]

/** When something has happened, and how often. */
export type When = Partial<Pick<Finding, "count" | "firstAt" | "lastAt">>

/** What is asked about, as what a client does. */
export type Deed = Readonly<Record<ExplanationSide["outcome"], string>>

/** What has been found at one end, in the order in which a message would have met it. */
export class Findings {
  private readonly found: Finding[] = []
  private readonly clientId: string

  constructor(clientId: string) {
    this.clientId = clientId
  }

  add(effect: FindingEffect, code: FindingCode, words: string, when: When = {}): void {
    this.found.push({ code, effect, words, ...when })
  }

  side(deed: Deed): ExplanationSide {
    const { clientId } = this
    const of = (effect: FindingEffect) => this.found.filter((finding) => finding.effect === effect)
    const findings = order.flatMap(of)
    const [first] = findings
    const outcome = first?.effect === "stops" ? "no" : first?.effect === "may stop" ? "perhaps" : "yes"
    const why = outcome === "yes" ? "nothing is in the way now" : first!.words
    return { clientId, outcome, words: `${clientId} ${deed[outcome]}: ${why}`, findings }
  }
}

/** As many as `some` shows, and one more, which takes no more room than to say that there is one. */
const MOST_KEPT = 6

/** Of a hundred thousand names the first few, in their order. */
export class FirstNames {
  total = 0
  readonly names: string[] = []

  add(name: string): void {
    this.total++
    if (this.total > MOST_KEPT && name > this.names.at(-1)!) return
    this.names.push(name)
    this.names.sort()
    this.names.length = Math.min(this.names.length, MOST_KEPT)
  }
}

/** `a`, `a and b`, `a, b and 7 more`: of many the first few. `total`: how many there are, where `names` are only the first of them. */
export function some(names: readonly string[], most = 5, joint = "and", total = names.length): string {
  const shown = total > most + 1 ? [...names.slice(0, most), `${total - most} more`] : names
  if (shown.length < 2) return shown.join()
  return `${shown.slice(0, -1).join(", ")} ${joint} ${shown.at(-1)}`
}

/** `1 message`, `12 messages`. */
export function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`
}

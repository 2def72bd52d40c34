import type { Case } from "../case.ts"
import { codecCases } from "./codec.ts"
import { outboxCases } from "./outbox.ts"
import { pathCases } from "./path.ts"
import { publishCases } from "./publish.ts"
import { routerCases } from "./router.ts"

/** All of them, with inputs of their own: what one has worked on no other sees. */
export function allCases(): Case[] {
  return [...codecCases(), ...publishCases(), ...routerCases(), ...outboxCases(), ...pathCases()]
}

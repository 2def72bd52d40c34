/**
 * After passwords, rules or keys have changed: who is in and may not be any more has to go (0x98), and a client with a
 * subscription that it would not be granted today loses that and is told so (0x87). It may come back at once.
 */
import type { Core } from "../broker/core.ts"
import type { Authority, Client } from "../broker/ports.ts"
import { Reason } from "../codec/index.ts"
import type { Session } from "../session/index.ts"
import { isPermitted, type Permissions } from "./permissions.ts"

/** The link, as far as this needs it. */
export interface RecheckedLink {
  readonly core: Core
  readonly state: string
  readonly client: Client | undefined
  readonly session: Session | undefined
  readonly authority: Authority | undefined
  readonly permissions: Permissions | undefined
  authFailed(error: unknown): false
  disconnect(reason: Reason, explanation?: string): void
}

export async function recheck(link: RecheckedLink): Promise<void> {
  const { client, authority, permissions, session, core } = link
  permissions?.forget()
  const mayStay = await answer(link, () => authority!.mayStay === undefined || authority!.mayStay(client!))
  if (link.state !== "open") return
  if (link.client !== client) return recheck(link) // it has authenticated again, and may be another now
  if (!mayStay) {
    link.disconnect(Reason.AdministrativeAction, "not allowed any more")
    return
  }
  if (permissions === undefined) return
  let ended = 0
  for (const { filter } of [...session!.subscriptions.values()]) {
    const permission = await answer(link, () => permissions.ask("subscribe", filter.pattern))
    if (link.state !== "open") return
    if (link.client !== client) break
    if (!isPermitted(permission) && core.unsubscribe(session!, filter.text)) ended++
  }
  if (ended > 0) link.disconnect(Reason.NotAuthorized, "a subscription is not allowed any more")
  else if (link.client !== client) await recheck(link)
}

/** What the authority says; one that throws has refused. */
async function answer<A>(link: RecheckedLink, ask: () => A | PromiseLike<A>): Promise<A | false> {
  try {
    return await ask()
  } catch (error) {
    return link.authFailed(error)
  }
}

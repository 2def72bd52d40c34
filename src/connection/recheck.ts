/**
 * After passwords, rules or keys have changed: who is in and may not be any more has to go (0x98), and a client with a
 * subscription that it would not be granted today loses that and is told so (0x87). It may come back at once. A client that
 * is away is looked at when it comes back: `resume.ts`.
 *
 * Nothing is said for a client any more that it may not say itself. A will that it would not be granted today is dropped,
 * and so is that of a client that has to go: whoever is shut out must not have a last word because of that.
 */
import type { Core } from "../broker/core.ts"
import type { Authority, Client } from "../broker/ports.ts"
import { Reason } from "../codec/index.ts"
import { Message, type Session } from "../session/index.ts"
import { forbid } from "./forbid.ts"
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
    dropWill(core, session!)
    link.disconnect(Reason.AdministrativeAction, "not allowed any more")
    return
  }
  if (permissions === undefined) return
  const { will } = session!
  if (will !== undefined) {
    const permission = await answer(link, () => permissions.ask("publish", will.topic.name))
    if (link.state !== "open") return
    if (link.client !== client) return recheck(link)
    if (!isPermitted(permission)) dropWill(core, session!)
  }
  let ended = 0
  for (const { filter } of [...session!.subscriptions.values()]) {
    const permission = await answer(link, () => permissions.ask("subscribe", filter.pattern))
    if (link.state !== "open") return
    if (link.client !== client) break
    if (!isPermitted(permission)) ended += forbid(core, session!, [filter])
  }
  if (ended > 0) link.disconnect(Reason.NotAuthorized, "a subscription is not allowed any more")
  else if (link.client !== client) await recheck(link)
}

function dropWill(core: Core, session: Session): void {
  const { will, clientId } = session
  if (will === undefined) return
  const { topic, payload, qos, retain, properties } = will
  core.dropped(
    "not authorized",
    clientId,
    Message.create(topic, payload, qos, retain, properties, core.now()),
    "sender",
  )
  session.will = undefined
  core.sessions.record(session)
}

/** What the authority says; one that throws has refused. With many clients that takes a while, and others are served meanwhile. */
async function answer<A>(link: RecheckedLink, ask: () => A | PromiseLike<A>): Promise<A | false> {
  const pause = link.core.pace.next()
  if (pause !== undefined) {
    await pause
    if (link.state !== "open") return false
  }
  try {
    return await ask()
  } catch (error) {
    return link.authFailed(error)
  }
}

/**
 * What one client may do, as its authority says; what that allows to be remembered is not asked again until it changes.
 */
import type { Action, Authority, Client, Permission } from "../broker/ports.ts"
import { Reason } from "../codec/index.ts"
import { isPromise } from "./decide.ts"

/** So many topics an action are remembered; then it begins anew. */
const MOST_REMEMBERED = 1000

export function isPermitted(permission: Permission): boolean {
  return permission === true || permission === Reason.Success
}

type TopicAuthority = Authority & Required<Pick<Authority, "authorize">>

export class Permissions {
  private remembered: Record<Action, Map<string, Permission>> | undefined
  private readonly authority: TopicAuthority
  private readonly client: Client

  private constructor(authority: TopicAuthority, client: Client) {
    this.authority = authority
    this.client = client
    this.forget()
  }

  /** Undefined: the authority has no opinion on topics, everything is allowed. */
  static of(authority: Authority, client: Client): Permissions | undefined {
    return authority.authorize === undefined ? undefined : new Permissions(authority as TopicAuthority, client)
  }

  /** May throw or reject what the authority does. */
  ask(action: Action, topic: string): Permission | PromiseLike<Permission> {
    const known = this.remembered?.[action]
    if (known === undefined) return this.authority.authorize(this.client, action, topic)
    const answer = known.get(topic)
    if (answer !== undefined) return answer
    const asked = this.authority.authorize(this.client, action, topic)
    if (!isPromise(asked)) return remember(known, topic, asked)
    return asked.then((permission) => remember(known, topic, permission))
  }

  /** Decisions may be others now. */
  forget(): void {
    if (!this.authority.isCacheable) return
    this.remembered = { publish: new Map(), subscribe: new Map(), receive: new Map() } // what is asked now goes into the old ones
  }
}

function remember(known: Map<string, Permission>, topic: string, permission: Permission): Permission {
  if (known.size >= MOST_REMEMBERED) known.clear()
  known.set(topic, permission ?? false)
  return permission
}

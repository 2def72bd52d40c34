/**
 * What one client may do, as its authority says; what that allows to be remembered is not asked again until it changes.
 */

import { isPromise } from "../broker/decide.ts"
import type { Action, Authority, Client, Permission } from "../broker/ports.ts"
import { Reason } from "../codec/index.ts"

/** So many topics an action are remembered; then it begins anew. */
const MOST_REMEMBERED = 1000
/** Longer ones, in characters, are asked for every time: what is remembered is bounded in bytes, too. */
const LONGEST_REMEMBERED = 512

export function isPermitted(permission: Permission): boolean {
  return permission === true || permission === Reason.Success
}

type TopicAuthority = Authority & Required<Pick<Authority, "authorize">>

/** Answers by topic. One that is still to come is shared by all who ask meanwhile. */
type Answers = Map<string, NonNullable<Permission> | Promise<Permission>>

export class Permissions {
  private remembered: Record<Action, Answers> | undefined
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
    if (known === undefined || topic.length > LONGEST_REMEMBERED) {
      return this.authority.authorize(this.client, action, topic)
    }
    const answer = known.get(topic)
    if (answer !== undefined) return answer
    const asked = this.authority.authorize(this.client, action, topic)
    if (isPromise(asked)) return awaited(known, topic, asked)
    remember(known, topic, asked ?? false)
    return asked
  }

  /** Decisions may be others now. */
  forget(): void {
    // What has been asked before goes into the old ones.
    const isCacheable = this.authority.isCacheable === true
    this.remembered = isCacheable ? { publish: new Map(), subscribe: new Map(), receive: new Map() } : undefined
  }
}

/** Remembers an answer that is still to come, then what it is; a failure is none. */
function awaited(known: Answers, topic: string, asked: PromiseLike<Permission>): Promise<Permission> {
  const answer = Promise.resolve(asked).then(
    (permission) => {
      remember(known, topic, permission ?? false)
      return permission
    },
    (error) => {
      if (known.get(topic) === answer) known.delete(topic)
      throw error
    },
  )
  remember(known, topic, answer)
  return answer
}

function remember(known: Answers, topic: string, answer: NonNullable<Permission> | Promise<Permission>): void {
  if (known.size >= MOST_REMEMBERED && !known.has(topic)) known.clear()
  known.set(topic, answer)
}

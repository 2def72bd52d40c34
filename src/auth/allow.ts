import type { Auth } from "../broker/ports.ts"

/**
 * Lets everybody in and do everything: for a listener on loopback, a test, or a network that somebody else guards. User names
 * are believed as they are given, so that a session is whoever's who names its client id.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: allowAll() }))
 */
export function allowAll(): Auth {
  return { authenticate: () => true, believesNames: true }
}

/**
 * Lets in who names no user, and has no opinion on others: beside an auth that knows users. Their sessions are all anonymous
 * clients' together, and no user's.
 *
 * @example
 * await broker.listen(tcp({ auth: any(passwords("users.txt"), allowAnonymous()) }))
 */
export function allowAnonymous(): Auth {
  return { authenticate: ({ username }) => (username === undefined ? true : undefined) }
}

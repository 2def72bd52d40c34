import type { Auth } from "../broker/ports.ts"

/**
 * Refuses everybody: what a listener without an auth does, said out loud.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: denyAll() }))
 */
export function denyAll(): Auth {
  return { authenticate: () => false, authorize: () => false, explain: () => "denyAll() refuses everything" }
}

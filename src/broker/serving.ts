import type { Auths } from "./auths.ts"
import type { ListenerLimits } from "./limits.ts"
import type { Auth } from "./ports.ts"

/** What a listener gives every connection that comes through it. */
export interface Serving {
  readonly id: string
  /** None: everybody is refused. */
  readonly auth: Auth | undefined
  readonly limits: ListenerLimits
  /** Which name in its certificate is the client's user name; undefined: it says one itself. */
  readonly usernameFrom?: "commonName" | "subjectAltName" | undefined
  /** Connections open now. */
  connections: number
}

/** What a listener has to do before it lets anybody in, and is known by. Rejects with what makes its auth useless. */
export async function openServing(
  { auths, servings }: { readonly auths: Auths; readonly servings: Set<Serving> },
  terms: Omit<Serving, "connections">,
): Promise<Serving> {
  await auths.open(terms.auth)
  const serving = { ...terms, connections: 0 }
  servings.add(serving)
  return serving
}

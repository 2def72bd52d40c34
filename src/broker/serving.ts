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

import type { Exchange } from "../broker/ports.ts"
import type { Timer } from "../broker/timers.ts"

/** The enhanced authentication of a client that has named its method, which it may begin again while it is in. MQTT 5 §4.12 */
export interface EnhancedAuthentication {
  readonly method: string
  /** The one under way. */
  exchange: Exchange | undefined
  /** Whether the client was in when that began. */
  isAgain: boolean
  /** By when that must be done, if it was. */
  deadline: Timer | undefined
}

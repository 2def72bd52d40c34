/** Lines that others can cause as often as they like: what is said of those that there was no room for. */
import type { LogArea } from "./areas.ts"

export interface Kind {
  readonly area: LogArea
  /** What such lines say, of several. */
  readonly many: string
  /** How a source stands to them: clients come from a network, messages are for a client. Undefined: it is what has been said. */
  readonly source: "from" | "for" | undefined
  /** How many in a window of one source. Default: 10. */
  readonly ofOne?: number
}

const from = "from"

export const kinds = {
  // A fleet behind one address may well come back at once.
  connected: { area: "client", many: "clients connected", source: from, ofOne: 50 },
  disconnected: { area: "client", many: "clients disconnected", source: from, ofOne: 50 },
  refused: { area: "client", many: "clients refused", source: from },
  closing: { area: "client", many: "connections closed", source: from },
  stranger: { area: "client", many: "connections closed that sent no CONNECT", source: from },
  misuse: { area: "client", many: "connections closed for what came over them", source: from },
  transport: { area: "client", many: "connections closed whose transport failed", source: undefined },
  expired: { area: "client", many: "sessions expired", source: "for" },
  droppedFrom: { area: "message", many: "messages dropped", source: from },
  droppedFor: { area: "message", many: "messages dropped", source: "for" },
  subscription: { area: "message", many: "subscriptions refused", source: "for" },
  publication: { area: "message", many: "messages refused", source: from },
  skipped: { area: "message", many: "messages skipped", source: "for" },
  handshake: { area: "listener", many: "connections closed before they began", source: from },
  socket: { area: "listener", many: "socket errors", source: from },
  page: { area: "listener", many: "pages refused", source: from },
  operator: { area: "auth", many: "operators refused", source: from },
  auth: { area: "auth", many: "failures of an auth", source: undefined },
  service: { area: "broker", many: "failures", source: undefined },
  fault: { area: "broker", many: "faults of manju's own", source: undefined },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

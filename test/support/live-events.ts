/** What a broker's live stream sends, made up. */
import type { LiveEvent } from "../../src/cli/admin-client.ts"
import type { Figures } from "../../src/http/figures.ts"

const standard: Figures = {
  time: 1_795_000_000_000,
  uptimeSeconds: 3725,
  ...{ connections: 4, clients: 3, sessions: 5, subscriptions: 1, retainedMessages: 1234 },
  ...{ inflightMessages: 0, queuedMessages: 2, queuedBytes: 2048 },
  rates: {
    ...{ messagesReceived: 0, messagesSent: 0, bytesReceived: 0, bytesSent: 0 },
    ...{ connects: 0, connectsRefused: 0, authFailures: 0, dropped: 0 },
  },
  dropped: {},
  limitsHit: {},
  memory: { residentBytes: 83_886_080, heapUsedBytes: 1 },
  eventLoopLagMs: 0.3,
}

/** A second's figures: all rates 0, but for these. */
export function figures(
  rates: Partial<Figures["rates"]> = {},
  others: Partial<Omit<Figures, "rates">> = {},
): LiveEvent {
  return { name: "figures", data: { ...standard, ...others, rates: { ...standard.rates, ...rates } } }
}

/** Topics, each with how many messages, and how long the last payload was. */
export function topics(
  all: readonly (readonly [topic: string, messages: number, payloadBytes?: number])[],
  omittedMessages = 0,
): LiveEvent {
  const data = all.map(([topic, messages, payloadBytes = 5]) => ({
    topic,
    messages,
    payloadBytes,
    qos: 1,
    retain: false,
  }))
  return { name: "topics", data: { topics: data, omittedMessages } }
}

/** Clients, each with how many messages came from it and went to it. */
export function clients(
  all: readonly (readonly [clientId: string, received: number, sent: number, username?: string])[],
): LiveEvent {
  return {
    name: "clients",
    data: { clients: all.map(([clientId, received, sent, username]) => ({ clientId, username, received, sent })) },
  }
}

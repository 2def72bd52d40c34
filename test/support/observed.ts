/** What observers are told, a line for each: to be compared as a whole. */
import type { ApplicationMessage } from "../../src/broker/application-message.ts"
import type { HookChains } from "../../src/broker/hook-chains.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { microtasks } from "./store.ts"

const brief = (message: ApplicationMessage) =>
  `${message.topic} ${message.text()} ${message.qos}${message.retain ? " retain" : ""}`
const hex = (reason: number | undefined) => reason?.toString(16).padStart(2, "0") ?? "-"

/** Every observer but those of packets, and what its line says. */
const tellers = {
  onConnected: (client, { isSessionPresent }) => `connected ${client.clientId}${isSessionPresent ? " again" : ""}`,
  onDisconnected: (client, { by, reason }) => `disconnected ${client.clientId} by ${by} ${hex(reason)}`,
  onSubscribed: ({ topicFilter, qos }, client) => `subscribed ${client.clientId} ${topicFilter} ${qos}`,
  onUnsubscribed: (topicFilter, client) => `unsubscribed ${client.clientId} ${topicFilter}`,
  onPublished: (message, client) => `published ${brief(message)} by ${client?.clientId ?? "nobody"}`,
  onDelivered: (message, client) => `delivered ${brief(message)} to ${client.clientId}`,
  onAcknowledged: (message, client) => `acknowledged ${brief(message)} by ${client.clientId}`,
  onDropped: (message, reason, clientId) => `dropped ${brief(message)} for ${clientId}: ${reason}`,
  onRetained: (message) => `retained ${brief(message)}`,
  onRetainedExpired: (message) => `expired ${brief(message)}`,
  onSessionExpired: (clientId) => `session expired ${clientId}`,
  onError: (error, where) => `error in ${where}: ${(error as Error).message}`,
  onStarted: () => "started",
  onStopped: ({ clients, cutOff, unstored }) => `stopped ${clients} ${cutOff} ${unstored}`,
} satisfies { [Name in keyof Hooks]: (...about: Parameters<NonNullable<Hooks[Name]>>) => string }

/** Registers observers, all of them or those named; the function gives what has been told since it was last called. */
export function observe(
  hooks: Pick<HookChains, "use">,
  ...names: (keyof typeof tellers)[]
): () => Promise<readonly string[]> {
  const lines: string[] = []
  const chosen = names.length > 0 ? names : (Object.keys(tellers) as (keyof typeof tellers)[])
  const entries = chosen.map((name) => {
    const tell = tellers[name] as (...about: unknown[]) => string
    return [name, (...about: unknown[]) => void lines.push(tell(...about))]
  })
  hooks.use(Object.fromEntries(entries))
  return async () => {
    await microtasks()
    return lines.splice(0)
  }
}

import type { Core } from "../broker/core.ts"
import { text } from "../listeners/websocket.ts"

/** The process serves. */
export function liveness(): Response {
  return text(200, "ok")
}

/**
 * 503 while the store cannot be written or read, when the broker serves what needs no disk and refuses the rest; and when it stops, for
 * whoever had a connection already.
 */
export function readiness({ isStopping, isReady }: Core): Response {
  if (isStopping) return text(503, "stopping")
  return isReady ? text(200, "ready") : text(503, "the store fails")
}

import type { Core } from "../broker/core.ts"
import { text } from "../listeners/websocket.ts"

/** The process serves. */
export function liveness(): Response {
  return text(200, "ok")
}

/** 503 while the store cannot be written or read: the broker serves what needs no disk, and refuses the rest. */
export function readiness({ isReady }: Core): Response {
  return isReady ? text(200, "ready") : text(503, "the store fails")
}

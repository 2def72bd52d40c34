/** Sessions: what outlives a socket. */
export * from "./changes.ts"
export * from "./delivery.ts"
export * from "./drop-reason.ts"
export * from "./group.ts"
export * from "./host.ts"
export type { Round } from "./members.ts"
export * from "./message.ts"
export * from "./session.ts"

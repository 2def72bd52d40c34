import type { StoredChange } from "../../broker/ports.ts"
import type { Durability } from "./database.ts"

/** What is asked of the store's thread. */
export interface Request {
  readonly id: number
  readonly call:
    | { name: "open"; path: string; durability: Durability }
    | { name: "load" }
    | { name: "commit"; changes: readonly StoredChange[] }
    | { name: "page"; owner: string; after: number; limit: number }
    | { name: "close" }
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: { message: string; code: string | undefined }
}

/** One client's connection: its protocol state machine over a `Transport`. */
export { Connection } from "./connection.ts"
export { BlockPool } from "./outbox.ts"
export type { Transport } from "./transport.ts"

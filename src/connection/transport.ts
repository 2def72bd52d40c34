import type { Certificate } from "../broker/ports.ts"

/** What a connection needs of a socket. The listeners give it over TCP; the tests over nothing. */
export interface Transport {
  /** IP address of the peer, for logs and decisions. */
  readonly remoteAddress: string
  /** The certificate that the client has shown and the listener has verified. */
  readonly certificate?: Certificate | undefined
  /** Writes `bytes[start, end)`; gives how many were taken. Fewer: the rest has to wait for `Connection.drained`. */
  write(bytes: Buffer, start: number, end: number): number
  /** Stops reading, and goes on. */
  pause(): void
  resume(): void
  /** Closes our half: the peer can read what was written. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

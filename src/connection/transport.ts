import type { Certificate } from "../broker/ports.ts"

/**
 * A stream of bytes to and from one client, as the broker sees it: TCP, a WebSocket, or anything else, through `custom`.
 *
 * The broker writes at most once a turn, and stops when something is not taken. None of its functions may throw.
 *
 * @example
 * // A Node `Duplex`, whose own buffer is made the bound:
 * const transport: Transport = {
 *   remoteAddress: "192.0.2.7",
 *   write(bytes, start, end) {
 *     if (duplex.writableNeedDrain) return 0
 *     duplex.write(Buffer.from(bytes.subarray(start, end))) // a copy, since it keeps it
 *     return end - start
 *   },
 *   pause: () => duplex.pause(),
 *   resume: () => duplex.resume(),
 *   end: () => duplex.end(),
 *   destroy: () => duplex.destroy(),
 * }
 */
export interface Transport {
  /** IP address of the peer, or what else there is to say of where it comes from: for logs, auth, and slowing down guesses. */
  readonly remoteAddress: string
  /** The certificate that the client has shown and the listener has verified. */
  readonly certificate?: Certificate | undefined
  /**
   * Writes `bytes[start, end)`; gives how many bytes were taken, from 0 on. Fewer than all: nothing more is written before
   * `drained` says so. Negative: the stream has gone. The memory is used again afterwards: what is kept has to be copied.
   */
  write(bytes: Uint8Array, start: number, end: number): number
  /** Stops reading: the client has to wait for somebody's answer, for the disk, or for its turn. */
  pause(): void
  /** Goes on reading. */
  resume(): void
  /** Closes our half: the peer can read what was written. If it has not closed its own in 2 seconds, `destroy` follows. */
  end(): void
  /** Closes at once, both halves. */
  destroy(): void
}

import type { Connection } from "../connection/index.ts"

/** What a chunk costs that is held, however small it is. */
const HELD_CHUNK_BYTES = 512

/**
 * The reading half of a transport over something that cannot stop: what comes while nothing is to be read waits here, in
 * its order, and is worked on although the client has left meanwhile. Whoever fills it sees to it that this stays bounded.
 */
export abstract class Holding {
  private held: Buffer[] = []
  private heldBytes = 0
  private isPaused = false

  pause(): void {
    this.isPaused = true
  }

  /** What was held comes next, unless it has to wait again. */
  resume(): void {
    this.isPaused = false
    if (this.held.length > 0) queueMicrotask(() => this.release())
  }

  /** Takes a chunk if it cannot be read now; gives how much memory waits then, 0 if it can. */
  hold(chunk: Buffer): number {
    if (!this.isPaused && this.held.length === 0) return 0
    this.keep(chunk)
    return this.heldBytes
  }

  /** Takes a chunk that is to be read when what is at hand is done; gives how much memory waits, 0 if reading goes on. */
  postpone(chunk: Buffer): number {
    this.keep(chunk)
    if (this.isPaused) return this.heldBytes
    if (this.held.length === 1) queueMicrotask(() => this.release())
    return 0
  }

  /** Who reads. */
  protected abstract readonly connection: Connection

  /** The client has left. What is held is all there is to come: the connection has it from now on, paused or not. */
  protected ended(): void {
    this.read()
    this.connection.ended()
  }

  /** The stream has broken: what is held is never read. */
  protected broken(): void {
    this.forget()
    this.connection.closed()
  }

  private keep(chunk: Buffer): void {
    this.held.push(chunk)
    this.heldBytes += chunk.length + HELD_CHUNK_BYTES
  }

  private release(): void {
    if (!this.isPaused) this.read()
  }

  private read(): void {
    const { held } = this
    if (held.length === 0) return
    this.forget()
    this.connection.receive(held.length === 1 ? held[0]! : Buffer.concat(held))
  }

  private forget(): void {
    this.held = []
    this.heldBytes = 0
  }
}

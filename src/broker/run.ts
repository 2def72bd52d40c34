/**
 * Messages that follow each other to the same clients, as those do that a publisher sends to one topic at once.
 *
 * When a message has been handed round, everybody who gets it may hold one piece of the chunk that it came in (`Piece`), and nobody else that
 * piece. The next message is part of it as soon as the piece has grown by that, once for all: so many clients, one addition.
 * This holds as long as nothing has changed for any of them:
 * - Whatever else a client is sent, or its end, takes the piece from it: then not all hold it any more.
 * - Whatever is subscribed to, or not any more, makes another route.
 * - Between two turns, or the slices of one, anything may happen: a run ends with them.
 * - What is decided on for each client, or shown to somebody, is handed to each.
 */
import type { Route } from "../router/index.ts"
import { type Message, MOST_PIECE_BYTES, type Piece, type Session } from "../session/index.ts"
import type { HookChains } from "./hook-chains.ts"
import type { Metrics } from "./metrics.ts"
import { FLUSHES_PER_SLICE, type Turn } from "./turn.ts"

/** As many bytes more in a write take as long as a delivery. */
const BYTES_PER_WORK = 1024

/** The broker, as far as this needs it. */
interface RunCore {
  readonly turn: Turn
  readonly metrics: Metrics
  readonly hooks: Pick<HookChains, "hasDeliveries">
}

export class Run {
  private piece: Piece | undefined
  private route: Route<Session> | undefined
  private turnCount = 0
  private readonly core: RunCore

  constructor(core: RunCore) {
    this.core = core
  }

  /** Begins with a message that has just been handed round. */
  begin({ wire: { piece } }: Message, route: Route<Session>): void {
    this.piece = undefined
    if (piece === undefined || piece.holders !== route.targets.length || route.groups.length > 0) return
    this.piece = piece
    this.route = route
    this.turnCount = this.core.turn.count
    this.interruptIfLarge(piece)
  }

  /** Hands round a message with the one before it; false: it has to be handed to each. */
  takes(message: Message, route: Route<Session>): boolean {
    const { piece, core } = this
    const { metrics, turn } = core
    if (piece === undefined || route !== this.route || turn.count !== this.turnCount) return false
    const { length } = route.targets
    if (piece.holders !== length || core.hooks.hasDeliveries || !message.joins(piece)) return false
    const bytes = length * message.payloadBytes
    turn.work += 1 + Math.floor(bytes / BYTES_PER_WORK)
    metrics.publishSent += length
    metrics.packetsSent += length
    metrics.publishBytesSent += bytes
    this.interruptIfLarge(piece)
    return true
  }

  /** So much for so many is not written in the middle of everything. */
  private interruptIfLarge({ holders, length }: Piece): void {
    if (holders > FLUSHES_PER_SLICE && length >= MOST_PIECE_BYTES / 2) this.core.turn.fill()
  }
}

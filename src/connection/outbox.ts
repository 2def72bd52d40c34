/**
 * The bytes on their way to one socket.
 *
 * In a turn they gather here and are written once, by `flush`. One packet alone is not even copied: it is written from
 * where it is. So are packets that stand next to each other, as those of a publisher do that sends several at once: they are one
 * `Piece`, which all who get the same share. What comes from elsewhere shares a block of memory from a pool, a small one first, so
 * that ten thousand idle connections own none and a fan-out to a thousand does not take a thousand large ones; a piece that comes
 * behind it is copied there once it ends, if both fit. A block or a piece that is full is written there and then.
 *
 * When the socket takes only a part, the rest is kept in `unwritten` and everything after it queues behind, until
 * `drain`. `isWritable` says whether that is still within the bound; whoever pushes asks first.
 */
import type { Core } from "../broker/core.ts"
import type { Flushable } from "../broker/turn.ts"
import { MOST_PIECE_BYTES, type Piece, type StablePacket } from "../session/index.ts"
import type { Transport } from "./transport.ts"

const SMALL_BLOCK_BYTES = 4096
const LARGE_BLOCK_BYTES = 65_536
/** Of each size: what a fan-out to a hundred needs at the same time should not be made anew in every turn. */
const MOST_POOLED_BYTES = 8 << 20

/** Blocks that are not in use. */
export class BlockPool {
  private readonly small: Buffer[] = []
  private readonly large: Buffer[] = []

  take(bytes: number): Buffer {
    if (bytes <= SMALL_BLOCK_BYTES) return this.small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BLOCK_BYTES)
    if (bytes <= LARGE_BLOCK_BYTES) return this.large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BLOCK_BYTES)
    return Buffer.allocUnsafeSlow(bytes)
  }

  give(block: Buffer): void {
    const pool =
      block.length === SMALL_BLOCK_BYTES ? this.small : block.length === LARGE_BLOCK_BYTES ? this.large : undefined
    if (pool !== undefined && pool.length * block.length < MOST_POOLED_BYTES) pool.push(block)
  }
}

/** The broker, as far as this needs it. */
type OutboxCore = Pick<Core, "turn" | "metrics" | "limits">

export class Outbox implements Flushable {
  /** Where `reserve` makes room. */
  block: Buffer | undefined
  /** Sees what the socket takes. */
  onWritten: ((bytes: Buffer, start: number, end: number) => void) | undefined
  /** Bytes that the socket has taken. */
  bytesSent = 0
  private length = 0
  /** The last packets of the turn, behind those in the block. */
  private piece: Piece | undefined
  /** Packets pushed since it was last empty. */
  private pushed = 0
  /** By how many packets pieces have grown that it does not hold any more. */
  private pastGrown = 0
  /** What the socket has not taken, in few large pieces: the first is written up to `head`, the last filled up to `tail`. */
  private unwritten: Buffer[] = []
  private unwrittenBytes = 0
  private head = 0
  private tail = 0
  private isMarked = false
  private isClosed = false
  private readonly transport: Transport
  private readonly core: OutboxCore
  private readonly pool: BlockPool

  constructor(transport: Transport, core: OutboxCore, pool: BlockPool) {
    this.transport = transport
    this.core = core
    this.pool = pool
  }

  /** Packets since it was last empty. */
  get packets(): number {
    return this.pushed + (this.piece === undefined ? 0 : this.piece.grown)
  }

  /** Packets that nobody has pushed: a piece has grown by them. */
  get grown(): number {
    return this.pastGrown + (this.piece === undefined ? 0 : this.piece.grown)
  }

  /** Bytes that wait for the socket. */
  get backlogBytes(): number {
    return this.unwrittenBytes + this.length
  }

  /** What has only gathered in this turn is no backlog: the socket has not been asked. */
  get isWritable(): boolean {
    return this.unwrittenBytes === 0 || this.unwrittenBytes + this.length < this.core.limits.maximumBacklogBytes
  }

  get isEmpty(): boolean {
    return this.unwrittenBytes === 0 && this.length === 0 && this.piece === undefined
  }

  /** Adds a packet that other clients may get as well; what follows it for all of them is its piece's to take, up to `maximumPacketBytes` each. */
  pushStable(packet: StablePacket, maximumPacketBytes = Number.POSITIVE_INFINITY): void {
    this.pushed++
    const { piece } = this
    if (piece !== undefined) {
      if (packet.follows(piece)) {
        this.piece = packet.appendTo(piece, maximumPacketBytes)
        if (this.piece.length >= MOST_PIECE_BYTES) this.writePiece()
        return
      }
      this.unfold()
    }
    if (this.unwrittenBytes > 0 || this.isClosed) {
      const { bytes, start, end } = packet
      const at = this.reserve(end - start)
      bytes.copy(this.block!, at, start, end)
      return
    }
    this.piece = packet.take(maximumPacketBytes)
    if (!this.isMarked) this.mark()
  }

  /** Adds a copy of a packet. */
  push(packet: Buffer): void {
    this.pushed++
    const at = this.reserve(packet.length)
    this.block!.set(packet, at)
  }

  /** Adds a copy of the packet `bytes[start, end)` with a packet id put in at `idAt`. */
  pushWithId(bytes: Buffer, start: number, end: number, idAt: number, packetId: number): void {
    this.pushed++
    const at = this.reserve(end - start)
    const block = this.block!
    bytes.copy(block, at, start, end)
    const id = at + idAt - start
    block[id] = packetId >>> 8
    block[id + 1] = packetId & 0xff
  }

  /** Adds an acknowledgement without properties. */
  pushAck(first: number, packetId: number): void {
    this.pushed++
    const at = this.reserve(4)
    const block = this.block!
    block[at] = first
    block[at + 1] = 2
    block[at + 2] = packetId >>> 8
    block[at + 3] = packetId & 0xff
  }

  /** Makes room for `bytes` in `block` and gives where; the caller fills all of it. */
  reserve(bytes: number): number {
    if (this.piece !== undefined) this.unfold()
    if (this.block === undefined) this.block = this.pool.take(bytes)
    else if (this.length + bytes > this.block.length) this.makeRoom(bytes)
    if (!this.isMarked) this.mark()
    const at = this.length
    this.length += bytes
    return at
  }

  /** Writes what the turn has gathered. */
  flush(): void {
    const { length, piece } = this
    if (piece !== undefined && length > 0 && length + piece.length <= LARGE_BLOCK_BYTES) this.unfold()
    this.isMarked = false
    this.flushTurn()
    if (this.unwrittenBytes === 0) this.pushed = 0
  }

  private flushTurn(): void {
    if (this.isClosed) {
      this.discard()
      return
    }
    if (this.piece !== undefined) this.writePiece()
    else if (this.length > 0) this.writeBlock()
  }

  /** The socket takes bytes again; true when nothing is left. */
  drain(): boolean {
    while (this.unwrittenBytes > 0) {
      const bytes = this.unwritten[0]!
      const end = this.unwritten.length === 1 ? this.tail : bytes.length
      const written = this.write(bytes, this.head, end)
      if (this.isClosed) return false
      this.unwrittenBytes -= written
      this.head += written
      if (this.head < end) return false
      this.unwritten.shift()
      this.head = 0
    }
    this.flush()
    return this.unwrittenBytes === 0
  }

  /** The socket has gone: nothing is written any more. */
  close(): void {
    this.isClosed = true
    this.discard()
  }

  private mark(): void {
    this.isMarked = true
    this.core.turn.mark(this)
  }

  private write(bytes: Buffer, start: number, end: number): number {
    const written = this.transport.write(bytes, start, end)
    if (written <= 0) return 0
    this.core.metrics.bytesSent += written
    this.bytesSent += written
    this.onWritten?.(bytes, start, start + written)
    return written
  }

  /** Writes the piece, and before it what the block holds. */
  private writePiece(): void {
    if (this.length > 0) this.writeBlock()
    if (this.piece === undefined) return // the socket has gone meanwhile
    const { bytes, start, end } = this.letGo(this.piece)
    const written = this.unwrittenBytes > 0 ? 0 : this.write(bytes, start, end)
    if (start + written < end) this.keep(bytes, start + written, end)
  }

  /** Moves the piece into the block, so that others can follow; one that no block holds is written. */
  private unfold(): void {
    if (this.piece!.length > LARGE_BLOCK_BYTES) {
      this.writePiece()
      return
    }
    const { bytes, start, end, length } = this.letGo(this.piece!)
    if (this.block === undefined) this.block = this.pool.take(length + 1)
    const at = this.reserve(length)
    bytes.copy(this.block!, at, start, end)
  }

  /** Whoever holds it still: it does not grow for this outbox any more. */
  private letGo(piece: Piece): Piece {
    this.piece = undefined
    piece.holders--
    this.pushed += piece.grown
    this.pastGrown += piece.grown
    return piece
  }

  private makeRoom(bytes: number): void {
    const block = this.block!
    if (this.length + bytes <= LARGE_BLOCK_BYTES && block.length < LARGE_BLOCK_BYTES) {
      const larger = this.pool.take(LARGE_BLOCK_BYTES)
      block.copy(larger, 0, 0, this.length)
      this.pool.give(block)
      this.block = larger
      return
    }
    this.writeBlock()
    this.block = this.pool.take(Math.max(bytes, LARGE_BLOCK_BYTES))
  }

  private writeBlock(): void {
    const { block, length } = this
    this.block = undefined
    this.length = 0
    const written = this.unwrittenBytes > 0 || this.isClosed ? 0 : this.write(block!, 0, length)
    if (written < length) this.keep(block!, written, length)
    this.pool.give(block!)
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    if (this.isClosed) return
    this.unwrittenBytes += end - start
    let at = start
    const last = this.unwritten.at(-1)
    if (last !== undefined) {
      const taken = bytes.copy(last, this.tail, at, end)
      this.tail += taken
      at += taken
    }
    if (at === end) return
    const added = Buffer.allocUnsafeSlow(Math.max(end - at, last === undefined ? SMALL_BLOCK_BYTES : LARGE_BLOCK_BYTES))
    this.tail = bytes.copy(added, 0, at, end)
    this.unwritten.push(added)
  }

  private discard(): void {
    if (this.block !== undefined) this.pool.give(this.block)
    this.block = undefined
    if (this.piece !== undefined) this.letGo(this.piece)
    this.length = 0
    this.unwritten = []
    this.unwrittenBytes = 0
    this.head = 0
  }
}

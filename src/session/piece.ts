/**
 * Packets that leave from where they are.
 *
 * A publisher that sends several messages at once has them next to each other in one chunk, and so are they for everybody who gets all of
 * them. Such packets are one `Piece`, a stretch of the chunk: whoever gets them holds it until it is written, and a packet that
 * follows makes it longer. Where it follows for all that hold the piece, it is the piece itself that grows, once for
 * all of them, however many they are (`grow`): the broker need not turn to each. Where it follows for some only, it makes a longer piece for
 * these (`StablePacket.appendTo`), and the others stay with what they have.
 */

/** A piece that is as long as this is written at once. */
export const MOST_PIECE_BYTES = 65_536

/** `bytes[start, end)`: whole packets. */
export class Piece {
  readonly bytes: Buffer
  readonly start: number
  end: number
  /** How many outboxes are to write it. */
  holders = 0
  /** Packets by which it has grown under its holders, of which they have not been told. */
  grown = 0
  /** The largest packet that all of its holders take. */
  maximumPacketBytes: number

  constructor(bytes: Buffer, start: number, end: number, maximumPacketBytes: number) {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.maximumPacketBytes = maximumPacketBytes
  }

  get length(): number {
    return this.end - this.start
  }

  /** Takes the packet behind it, `bytes[start, end)`, for all of its holders; false if that is not behind it, or too long for them. */
  grow(bytes: Buffer, start: number, end: number): boolean {
    if (this.bytes !== bytes || this.end !== start || end - start > this.maximumPacketBytes) return false
    if (end - this.start >= MOST_PIECE_BYTES) return false
    this.end = end
    this.grown++
    return true
  }
}

/** A packet `bytes[start, end)` that stays as it is until it is written, and goes to many. */
export class StablePacket {
  bytes: Buffer
  start: number
  end: number
  /** The piece of which it is the last, for those who took it last. */
  piece: Piece | undefined = undefined
  /** It alone. */
  private alone: Piece | undefined = undefined
  /** What it has been appended to, and what that has made. */
  private shorter: Piece | undefined = undefined
  private longer: Piece | undefined = undefined

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes
    this.start = start
    this.end = end
  }

  /** Becomes another one. */
  reset(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.piece = this.alone = this.shorter = this.longer = undefined
  }

  follows(piece: Piece): boolean {
    return piece.bytes === this.bytes && piece.end === this.start
  }

  /** A piece with nothing else in it, for one more holder, who takes packets of at most so many bytes. */
  take(maximumPacketBytes: number): Piece {
    const piece = (this.alone ??= new Piece(this.bytes, this.start, this.end, maximumPacketBytes))
    piece.holders++
    return (this.piece = atMost(piece, maximumPacketBytes))
  }

  /** The piece that it follows with it at its end, for one of the holders, who takes packets of at most so many bytes. */
  appendTo(piece: Piece, maximumPacketBytes: number): Piece {
    if (this.shorter !== piece) {
      if (piece.holders === 1) {
        piece.end = this.end
        return (this.piece = atMost(piece, maximumPacketBytes))
      }
      this.shorter = piece
      this.longer = new Piece(piece.bytes, piece.start, this.end, piece.maximumPacketBytes)
      this.longer.grown = piece.grown
    }
    piece.holders--
    const longer = this.longer!
    longer.holders++
    return (this.piece = atMost(longer, maximumPacketBytes))
  }
}

function atMost(piece: Piece, maximumPacketBytes: number): Piece {
  if (maximumPacketBytes < piece.maximumPacketBytes) piece.maximumPacketBytes = maximumPacketBytes
  return piece
}

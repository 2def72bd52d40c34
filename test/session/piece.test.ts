/** Packets that leave from where they are: who holds what, and when a piece grows for all. */
import { describe, expect, test } from "bun:test"
import { MOST_PIECE_BYTES, Piece, StablePacket } from "../../src/session/index.ts"

const chunk = Buffer.alloc(100)
const ANY = Number.POSITIVE_INFINITY

/** What a piece covers, and who is to write it. */
const told = ({ start, end, holders, grown }: Piece) => `${start}-${end} for ${holders}, grown by ${grown}`

/** A packet that so many have taken, each alone. */
function takenBy(holders: number, maximumPacketBytes = ANY): Piece {
  const packet = new StablePacket(chunk, 10, 20)
  for (let count = 0; count < holders; count++) packet.take(maximumPacketBytes)
  return packet.piece!
}

describe("a packet", () => {
  test("is one piece for all who take it", () => {
    const packet = new StablePacket(chunk, 10, 20)
    expect(packet.take(ANY)).toBe(packet.take(ANY))
    expect(told(packet.piece!)).toBe("10-20 for 2, grown by 0")
  })

  test("is another for those who get it behind the one before, and that is one piece as well", () => {
    const first = takenBy(3)
    const packet = new StablePacket(chunk, 20, 25)
    expect(packet.appendTo(first, ANY)).toBe(packet.appendTo(first, ANY))
    expect(told(packet.piece!)).toBe("10-25 for 2, grown by 0")
    expect(told(first)).toBe("10-20 for 1, grown by 0") // who does not get it
    packet.appendTo(first, ANY)
    expect([told(packet.piece!), told(first)]).toEqual(["10-25 for 3, grown by 0", "10-20 for 0, grown by 0"])
  })

  test("makes the piece longer where there is one holder only", () => {
    const first = takenBy(1)
    const packet = new StablePacket(chunk, 20, 25)
    expect(packet.appendTo(first, ANY)).toBe(first)
    expect(told(first)).toBe("10-25 for 1, grown by 0")
  })

  test("is not what it was when it becomes another", () => {
    const packet = new StablePacket(chunk, 10, 20)
    const before = packet.take(ANY)
    packet.reset(chunk, 20, 30)
    expect(packet.piece).toBeUndefined()
    expect(packet.take(ANY)).not.toBe(before)
    expect([told(before), told(packet.piece!)]).toEqual(["10-20 for 1, grown by 0", "20-30 for 1, grown by 0"])
  })

  test("follows what ends where it begins, in the same chunk", () => {
    const piece = takenBy(1)
    expect(new StablePacket(chunk, 20, 30).follows(piece)).toBe(true)
    expect(new StablePacket(chunk, 21, 30).follows(piece)).toBe(false)
    expect(new StablePacket(Buffer.alloc(100), 20, 30).follows(piece)).toBe(false)
  })
})

describe("a piece", () => {
  test("grows for all of its holders by what follows it, and counts that", () => {
    const piece = takenBy(100)
    expect([piece.grow(chunk, 20, 30), piece.grow(chunk, 30, 31)]).toEqual([true, true])
    expect(told(piece)).toBe("10-31 for 100, grown by 2")
  })

  test("takes the count along when it becomes longer for some", () => {
    const piece = takenBy(2)
    piece.grow(chunk, 20, 30)
    const longer = new StablePacket(chunk, 30, 40).appendTo(piece, ANY)
    expect([told(longer), told(piece)]).toEqual(["10-40 for 1, grown by 1", "10-30 for 1, grown by 1"])
  })

  test("does not grow by what is elsewhere", () => {
    const piece = takenBy(2)
    expect([piece.grow(chunk, 21, 30), piece.grow(Buffer.alloc(100), 20, 30)]).toEqual([false, false])
    expect(told(piece)).toBe("10-20 for 2, grown by 0")
  })

  test("does not grow by a packet that is too large for one of its holders", () => {
    const packet = new StablePacket(chunk, 10, 20)
    packet.take(ANY)
    packet.take(15)
    packet.take(ANY)
    expect([packet.piece!.grow(chunk, 20, 36), packet.piece!.grow(chunk, 20, 35)]).toEqual([false, true])
  })

  test("does not grow any more, either, when a holder comes to it with a smaller maximum", () => {
    for (const holders of [1, 2]) {
      const piece = takenBy(holders)
      const longer = new StablePacket(chunk, 20, 30).appendTo(piece, 0)
      expect(longer.grow(chunk, 30, 31)).toBe(false)
    }
  })

  test("stays shorter than what is written at once", () => {
    const large = Buffer.alloc(2 * MOST_PIECE_BYTES)
    const piece = new Piece(large, 0, 10, ANY)
    expect(piece.grow(large, 10, MOST_PIECE_BYTES)).toBe(false)
    expect(piece.grow(large, 10, MOST_PIECE_BYTES - 1)).toBe(true)
  })
})

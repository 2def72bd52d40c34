/**
 * A set of whole numbers from 0 up that knows which of them comes next: a tree of bits, 32 to a word, where a bit of one floor says
 * whether the word below it has any. Among a million numbers four words are looked at. Sets are many and most of them small: the
 * first word needs no tree.
 */
export class NumberSet {
  /** The numbers below 32, as long as there are no others. */
  private word = 0
  /** The numbers themselves first; the last floor is one word. */
  private floors: number[][] | undefined = undefined

  add(number: number): void {
    if (this.floors === undefined) {
      if (number < 32) {
        this.word |= 1 << number
        return
      }
      this.floors = [[this.word]]
    }
    while (number >= 32 ** this.floors.length) this.floors.push([this.floors.at(-1)![0] === 0 ? 0 : 1])
    let at = number
    for (const words of this.floors) {
      const index = at >>> 5
      while (words.length <= index) words.push(0)
      const before = words[index]!
      words[index] = before | (1 << (at & 31))
      if (before !== 0) return // the floors above know
      at = index
    }
  }

  delete(number: number): void {
    if (this.floors === undefined) {
      if (number < 32) this.word &= ~(1 << number)
      return
    }
    let at = number
    for (const words of this.floors) {
      const index = at >>> 5
      if (index >= words.length) return
      words[index]! &= ~(1 << (at & 31))
      if (words[index] !== 0) return
      at = index
    }
  }

  has(number: number): boolean {
    return this.next(number) === number
  }

  /** The smallest that is not below `from`; -1: there is none. */
  next(from: number): number {
    const { floors } = this
    if (floors === undefined) {
      const rest = from < 32 ? this.word & (-1 << from) : 0
      return rest === 0 ? -1 : lowest(rest)
    }
    let at = from
    for (let floor = 0; floor < floors.length; floor++) {
      const index = at >>> 5
      const words = floors[floor]!
      const rest = index < words.length ? words[index]! & (-1 << (at & 31)) : 0
      if (rest !== 0) return smallest(floors, floor, (index << 5) | lowest(rest))
      at = index + 1
    }
    return -1
  }
}

/** What a bit leads to, by the lowest bit of each word below. */
function smallest(floors: number[][], floor: number, bit: number): number {
  let at = bit
  for (let below = floor - 1; below >= 0; below--) at = (at << 5) | lowest(floors[below]![at]!)
  return at
}

function lowest(word: number): number {
  return 31 - Math.clz32(word & -word)
}

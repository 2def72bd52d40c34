/**
 * Which topics a change of wildcard filters may concern: those that begin as the filter does, up to its first wildcard.
 *
 * A change is noted under that beginning, and costs nothing else there and then. Whoever has found something for a topic asks, when it is next
 * wanted, whether a change has been noted since under one of the topic's own beginnings. They are told apart by a hash with few values: two that are
 * taken for one cost a search in vain.
 */

const BEGINNINGS = 1 << 12
const SLASH = 0x2f

export class Changes {
  /** How many there have been: what is found now has seen as many. */
  count = 0
  /** The number of the last one under each beginning. */
  private readonly last = new Float64Array(BEGINNINGS)

  /** Notes a change of a filter with a wildcard. */
  note(pattern: string): void {
    const wildcard = pattern.search(/[+#]/)
    let hash = 0
    for (let at = 0; at < wildcard - 1; at++) hash = added(hash, pattern.charCodeAt(at))
    this.last[placeOf(hash)] = ++this.count
  }

  /** Whether one of those after the first `seen` may concern the topic. */
  concern(topicName: string, seen: number): boolean {
    const { last } = this
    if (last[placeOf(0)]! > seen) return true // filters that begin with a wildcard
    let hash = 0
    for (let at = 0; at < topicName.length; at++) {
      const character = topicName.charCodeAt(at)
      if (character === SLASH && last[placeOf(hash)]! > seen) return true
      hash = added(hash, character)
    }
    return last[placeOf(hash)]! > seen // `a/#` matches `a` too
  }
}

const added = (hash: number, character: number) => (Math.imul(hash, 31) + character) | 0

const placeOf = (hash: number) => Math.imul(hash, 0x9e3779b1) >>> 20

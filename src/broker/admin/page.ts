/**
 * Pages of long lists, found without holding up the broker and without a sorted copy of anything: one pass over all there is, in slices,
 * keeping the few that come next.
 */
import { createHash } from "node:crypto"
import type { Page, PageQuery } from "../admin.ts"
import { ManjuError } from "../errors.ts"
import { Pace } from "../pace.ts"

const STANDARD_LIMIT = 100
const LARGEST_LIMIT = 1000
/** A page ends before its limit where what strangers have chosen, names and properties, makes its items this large. */
const LARGEST_PAGE_BYTES = 524_288
/** Of longer names the beginning is sorted by, and a digest: a cursor is part of an address, which has an end. */
const LONGEST_KEY = 500
/** How long a slice may keep everybody waiting, and after how many entries that is looked at. */
const SLICE_MS = 2
const ENTRIES_BETWEEN_LOOKS = 64
/** However many lists are gone through at once: a slice of one of them in each turn. */
const pace = new Pace(1)

/** By what a list is sorted; of two parts where one is not enough. */
export type Key = readonly [first: string, second?: string]

export interface List<Entry, Item> {
  /** Undefined: there was nothing, and looking for it has taken its time. */
  readonly entries: Iterable<Entry | undefined>
  /** Unique, and always the same for an entry. */
  key(entry: Entry): Key
  /** Default: all. */
  includes?(entry: Entry): boolean
  /** How large its names and properties are, about. */
  bytes(entry: Entry): number
  item(entry: Entry): Item
}

/** Throws `INVALID_OPTION` for a limit or a cursor that makes no sense. */
export async function pageOf<Entry, Item>(list: List<Entry, Item>, query: PageQuery): Promise<Page<Item>> {
  const { limit = STANDARD_LIMIT, cursor } = query
  if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_LIMIT) {
    throw new ManjuError("INVALID_OPTION", `limit must be a whole number from 1 to ${LARGEST_LIMIT}, not ${limit}`)
  }
  const after = cursor === undefined ? undefined : decode(cursor)
  const found = new Smallest<Entry>(limit + 1)
  let total = 0
  for await (const slice of slicesOf(list.entries)) {
    for (const entry of slice) {
      if (entry === undefined || list.includes?.(entry) === false) continue
      total++
      const key = list.key(entry).map(bounded) as unknown as Key
      if (after === undefined || compare(key, after) > 0) found.offer(key, entry)
    }
  }
  const sorted = found.take()
  let bytes = 0
  const items = sorted.slice(0, limit).filter(({ entry }, index) => {
    bytes += list.bytes(entry)
    return index === 0 || bytes <= LARGEST_PAGE_BYTES
  })
  return {
    items: items.map(({ entry }) => list.item(entry)),
    total,
    next: sorted.length > items.length ? encode(items.at(-1)!.key) : undefined,
  }
}

function bounded(name = ""): string {
  if (name.length <= LONGEST_KEY) return name
  return name.slice(0, LONGEST_KEY) + createHash("sha256").update(name).digest("base64url")
}

/** Goes through something long in slices, between which everybody else has their turn. */
export async function* slicesOf<Entry>(entries: Iterable<Entry>): AsyncGenerator<Iterable<Entry>, void, undefined> {
  const iterator = entries[Symbol.iterator]()
  let isDone = false
  function* slice(): Generator<Entry, void, undefined> {
    const begunAt = performance.now()
    for (let count = 1; ; count++) {
      const { value, done } = iterator.next()
      if (done) {
        isDone = true
        return
      }
      yield value
      if (count % ENTRIES_BETWEEN_LOOKS === 0 && performance.now() - begunAt > SLICE_MS) return
    }
  }
  while (!isDone) {
    await pace.next()
    yield slice()
  }
}

/** The first so many of what is offered, in order. */
class Smallest<Entry> {
  private kept: { readonly key: Key; readonly entry: Entry }[] = []
  /** Whatever does not come before it is none of them. */
  private bound: Key | undefined
  private readonly count: number

  constructor(count: number) {
    this.count = count
  }

  offer(key: Key, entry: Entry): void {
    if (this.bound !== undefined && compare(key, this.bound) >= 0) return
    this.kept.push({ key, entry })
    if (this.kept.length === 2 * this.count) {
      this.kept = this.take()
      if (this.kept.length === this.count) this.bound = this.kept.at(-1)!.key
    }
  }

  take(): { readonly key: Key; readonly entry: Entry }[] {
    const sorted = this.kept.sort((a, b) => compare(a.key, b.key))
    // What has gone and come back between two slices may have been met twice.
    return sorted
      .filter(({ key }, index) => index === 0 || compare(key, sorted[index - 1]!.key) !== 0)
      .slice(0, this.count)
  }
}

function compare([a, a2 = ""]: Key, [b, b2 = ""]: Key): number {
  if (a !== b) return a < b ? -1 : 1
  return a2 === b2 ? 0 : a2 < b2 ? -1 : 1
}

function encode(key: Key): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url")
}

function decode(cursor: string): Key {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString())
    if (!Array.isArray(key) || key.length === 0 || !key.every((part) => typeof part === "string")) throw new TypeError()
    return key as unknown as Key
  } catch (cause) {
    throw new ManjuError("INVALID_OPTION", "cursor is not one that a page has given as its next", { cause })
  }
}

/**
 * Addresses from which authentication fails again and again. The first failures cost nothing; after them each attempt from
 * there waits twice as long as the one before, up to some seconds, before it is even looked at. With time they are forgiven.
 */
const FREE_FAILURES = 5
const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 5000
/** A failure counts for so long. */
const MEMORY_MS = 60_000
const MOST_ADDRESSES = 10_000

interface Record {
  failures: number
  lastAt: number
}

export class Offenders {
  /** By address, the one that failed longest ago first. */
  private readonly records = new Map<string, Record>()

  /** An authentication from `address` has failed. */
  failed(address: string, now: number): void {
    const key = networkOf(address)
    const failures = this.failuresOf(key, now) + 1
    this.records.delete(key)
    this.records.set(key, { failures, lastAt: now })
    if (this.records.size > MOST_ADDRESSES) this.records.delete(this.records.keys().next().value!)
  }

  /** How long the next attempt from `address` has to wait. */
  delayMs(address: string, now: number): number {
    const surplus = this.failuresOf(networkOf(address), now) - FREE_FAILURES
    return surplus < 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** surplus, LONGEST_DELAY_MS)
  }

  private failuresOf(key: string, now: number): number {
    const record = this.records.get(key)
    return record === undefined || now - record.lastAt > MEMORY_MS ? 0 : record.failures
  }
}

const MAPPED_IPV4 = "::ffff:"

/** Of an IPv6 address the network, of which everybody has a whole one: its first four groups. */
function networkOf(address: string): string {
  if (address.startsWith(MAPPED_IPV4)) return address.slice(MAPPED_IPV4.length)
  if (!address.includes(":")) return address
  const [head = "", tail] = address.split("::")
  const groups = head.split(":").filter(Boolean)
  const rest = tail?.split(":").filter(Boolean) ?? []
  while (groups.length + rest.length < 8) groups.push("0")
  return [...groups, ...rest].slice(0, 4).join(":")
}

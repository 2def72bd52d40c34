/**
 * Rules on topics: which filters are allowed or denied, for reading, writing or both; what `acl()` and the claims of a token
 * are compiled to.
 *
 * The rules stand in a tree of topic levels. A topic is looked up in it from level to level where it stands, without
 * cutting it into pieces: what all rules say of it is gathered in one number. A denial outweighs whatever allows. Of a
 * filter that a client subscribes to, what is allowed is said if a topic may match both; what is denied, only if the
 * rule matches every topic that the filter does. For a topic name the two are the same.
 *
 * `%u` and `%c` in a pattern stand for the user name and the client id, one in a level at most. The client has chosen these
 * itself: where they are empty or hold `+`, `#` or `/`, the pattern matches nothing, so that nobody can name himself into
 * somebody else's topics (CVE-2017-7650).
 */
import type { Action, Client } from "../broker/ports.ts"

/** `read`: subscribe and receive. `write`: publish. */
export type Access = "read" | "write" | "readwrite"

const READ = 1
const WRITE = 2
const bitsOf: Readonly<Record<Access, number>> = { read: READ, write: WRITE, readwrite: READ | WRITE }
/** How far the bits of what is denied are shifted. */
const DENIED = 2

const DOLLAR = 0x24
const HASH = 0x23
const PLUS = 0x2b
const SLASH = 0x2f

/** A level in which the user name or the client id is to be filled in. */
interface Blank {
  readonly before: string
  readonly of: "username" | "clientId"
  readonly after: string
}

/** What is said of one level, and of those below it. */
class Level {
  /** Of topics that end here. */
  here = 0
  /** Of topics that end here or anywhere below. */
  below = 0
  readonly name: string
  /** By the hash of their names; those that share one form a chain. */
  private named: Map<number, Level> | undefined
  private nextOfHash: Level | undefined
  anyName: Level | undefined
  blanks: (Blank & { readonly level: Level })[] | undefined

  constructor(name = "") {
    this.name = name
  }

  /** The level below whose name is `topic[start, end)`. */
  find(hash: number, topic: string, start: number, end: number): Level | undefined {
    let level = this.named?.get(hash)
    while (level !== undefined && !(level.name.length === end - start && topic.startsWith(level.name, start))) {
      level = level.nextOfHash
    }
    return level
  }

  /** The level below of that name, made if it is not there. */
  get(name: string | Blank): Level {
    if (name === "+") return (this.anyName ??= new Level())
    if (typeof name === "object") return this.blank(name)
    let hash = 0
    for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0
    let level = this.find(hash, name, 0, name.length)
    if (level === undefined) {
      level = new Level(name)
      level.nextOfHash = this.named?.get(hash)
      this.named ??= new Map()
      this.named.set(hash, level)
    }
    return level
  }

  /** The levels below that have a name, or will have one for this client; without the reserved ones if they are the first. */
  *children(isFirst: boolean, client: Client): Generator<Level> {
    for (const chain of this.named?.values() ?? []) {
      for (let level: Level | undefined = chain; level !== undefined; level = level.nextOfHash) {
        if (!isFirst || !isReservedName(level.name)) yield level
      }
    }
    for (const { before, of, level } of this.blanks ?? []) {
      const value = client[of]
      if (isSafe(value) && (!isFirst || !isReservedName(before || value))) yield level
    }
  }

  private blank(blank: Blank): Level {
    this.blanks ??= []
    const same = (each: Blank) => each.of === blank.of && each.before === blank.before && each.after === blank.after
    let known = this.blanks.find(same)
    if (known === undefined) this.blanks.push((known = { ...blank, level: new Level() }))
    return known.level
  }
}

export class Rules {
  private readonly root = new Level()

  /** Adds a rule. `isPattern`: `%u` and `%c` are filled in. Throws what is wrong with the filter. */
  add(verdict: "allow" | "deny", access: Access, filter: string, isPattern: boolean): void {
    checkFilter(filter)
    const bits = verdict === "allow" ? bitsOf[access] : bitsOf[access] << DENIED
    let level = this.root
    for (const name of filter.split("/")) {
      if (name === "#") {
        level.below |= bits
        return
      }
      level = level.get(isPattern ? blankOf(name) : name)
    }
    level.here |= bits
  }

  /** What they say of a topic name or filter: bits for `verdictOf`. */
  say(topic: string, client: Client): number {
    return gather(this.root, topic, 0, client)
  }
}

/** What the rules that hold for a client say together: true, false, or nothing. */
export function verdictOf(said: number, action: Action): boolean | undefined {
  const needed = action === "publish" ? WRITE : READ
  if ((said & (needed << DENIED)) !== 0) return false
  return (said & needed) !== 0 ? true : undefined
}

/** What is said of `topic`, whose levels before `start` have led here. */
function gather(level: Level, topic: string, start: number, client: Client): number {
  if (start > topic.length) return level.here | level.below
  const first = topic.charCodeAt(start)
  const isReserved = start === 0 && first === DOLLAR
  let hash = 0
  let end = start
  for (; end < topic.length; end++) {
    const code = topic.charCodeAt(end)
    if (code === SLASH) break
    hash = (Math.imul(hash, 31) + code) | 0
  }
  let said = isReserved ? 0 : level.below // [MQTT-4.7.2-1]
  if (first === HASH && end - start === 1) {
    if (start === 0) said |= level.anyName?.below ?? 0 // every topic has a first level
    return isReadableWithin(level, start === 0, client) ? said | READ : said
  }
  if (level.anyName !== undefined && !isReserved) said |= gather(level.anyName, topic, end + 1, client)
  if (first === PLUS && end - start === 1) {
    for (const each of level.children(start === 0, client)) {
      if ((said & READ) !== 0) break
      said |= gather(each, topic, end + 1, client) & READ
    }
    return said
  }
  const named = level.find(hash, topic, start, end)
  if (named !== undefined) said |= gather(named, topic, end + 1, client)
  if (level.blanks !== undefined) {
    for (const blank of level.blanks) {
      if (isReserved && blank.before === "") continue
      if (fits(blank, topic, start, end, client)) said |= gather(blank.level, topic, end + 1, client)
    }
  }
  return said
}

/** Whether reading is allowed of any topic that ends here or below. */
function isReadableWithin(level: Level, isFirst: boolean, client: Client): boolean {
  if (((level.here | level.below) & READ) !== 0) return true
  if (level.anyName !== undefined && isReadableWithin(level.anyName, false, client)) return true
  for (const each of level.children(isFirst, client)) if (isReadableWithin(each, false, client)) return true
  return false
}

function fits({ before, of, after }: Blank, topic: string, start: number, end: number, client: Client): boolean {
  const value = client[of]
  return (
    isSafe(value) &&
    before.length + value.length + after.length === end - start &&
    topic.startsWith(before, start) &&
    topic.startsWith(value, start + before.length) &&
    topic.startsWith(after, end - after.length)
  )
}

/** Whether it can stand in a level: it is not empty, is one level and no wildcard. */
function isSafe(value: string | undefined): value is string {
  return value !== undefined && value !== "" && !/[+#/]/.test(value)
}

/** Whether a first level is one that no wildcard matches: `$SYS`. [MQTT-4.7.2-1] */
function isReservedName(name: string): boolean {
  return name.charCodeAt(0) === DOLLAR
}

function blankOf(level: string): string | Blank {
  const [before, placeholder, after, ...more] = level.split(/%([uc])/)
  if (placeholder === undefined) return level
  // «%u-%c» would be the same for ada with the client id b-c as for ada-b with c.
  if (more.length > 0) throw new Error(`"${level}" has more than one of %u and %c: put a "/" between them`)
  return { before: before!, of: placeholder === "u" ? "username" : "clientId", after: after! }
}

/** Throws unless it is a topic filter. MQTT 5 §4.7.1 */
function checkFilter(filter: string): void {
  const levels = filter.split("/")
  const isMisplaced = (level: string, depth: number) =>
    /[+#]/.test(level) && level !== "+" && !(level === "#" && depth === levels.length - 1)
  if (filter === "" || Buffer.byteLength(filter) > 0xffff || levels.some(isMisplaced)) {
    throw new Error(`"${filter}" is not a topic filter`)
  }
}

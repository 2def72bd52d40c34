/**
 * The filters that somebody has, and which of them match a topic: those without a wildcard in a Map, those with one in a trie by level.
 *
 * A match follows, from each place, the way of the topic's next level and the way of `+`: it sees only places whose way matches the topic so far,
 * however many others there are. Of a million places most are in no cache of the processor, so that a match costs as much as the places that it
 * touches: a place that leads to one other has no Map for it, `+` and `#` are no names that would have to be looked up, and a filter's one subscriber
 * stands in the place itself (`holders.ts`).
 */
import type { TopicFilter } from "./filter.ts"
import { Holders } from "./holders.ts"

const MOST_WORDS = 1 << 12
/** A level is a piece of its filter, of which it holds the whole in memory. */
const LONGEST_WITH_WORDS = 256

/** A place in the trie, and who has the filter that ends there. */
class Node<S> extends Holders<S> {
  /** By what one comes here from the place above. */
  readonly level: string
  /** The places below, by their level, save those of wildcards. */
  private children: Node<S> | Map<string, Node<S>> | undefined = undefined
  /** Below `+`. */
  any: Node<S> | undefined = undefined
  /** Who has the filter that ends here with `#`. */
  rest: Holders<S> | undefined = undefined

  constructor(level: string) {
    super()
    this.level = level
  }

  /** Whether no filter ends here or goes on from here. */
  get isBare(): boolean {
    return this.isLeaf && this.any === undefined && this.rest === undefined && this.isEmpty
  }

  get isLeaf(): boolean {
    return this.children === undefined
  }

  child(level: string): Node<S> | undefined {
    const { children } = this
    if (children instanceof Map) return children.get(level)
    return children?.level === level ? children : undefined
  }

  /** Makes the place below that has this level, of which there is none. */
  addChild(level: string): Node<S> {
    const child = new Node<S>(level)
    const { children } = this
    if (children === undefined) this.children = child
    else if (children instanceof Map) children.set(level, child)
    else {
      this.children = new Map([
        [children.level, children],
        [level, child],
      ])
    }
    return child
  }

  /** Takes away the place below that has this level. */
  removeChild(level: string): void {
    const { children } = this
    if (children instanceof Map) {
      children.delete(level)
      if (children.size > 0) return
    }
    this.children = undefined
  }
}

export class Filters<S> {
  private readonly exact = new Map<string, Holders<S>>()
  private readonly root = new Node<S>("")
  /** Levels seen of late, each as one string: those of many filters are the same few words. */
  private readonly words = new Map<string, string>()

  /** Who has a filter; undefined: nobody. */
  get({ hasWildcard, pattern }: TopicFilter): Holders<S> | undefined {
    if (!hasWildcard) return this.exact.get(pattern)
    let node: Node<S> | undefined = this.root
    for (const level of pattern.split("/")) {
      if (node === undefined || level === "#") return node?.rest
      node = level === "+" ? node.any : node.child(level)
    }
    return node
  }

  /** Who has a filter; nobody yet, if it is new. */
  enter({ hasWildcard, pattern }: TopicFilter): Holders<S> {
    if (!hasWildcard) {
      let holders = this.exact.get(pattern)
      if (holders === undefined) this.exact.set(pattern, (holders = new Holders()))
      return holders
    }
    let node = this.root
    for (const level of pattern.split("/")) {
      if (level === "#") return (node.rest ??= new Holders())
      node =
        level === "+" ? (node.any ??= new Node(level)) : (node.child(level) ?? node.addChild(this.word(level, pattern)))
    }
    return node
  }

  /** Takes away a filter that nobody has any more. */
  delete({ hasWildcard, pattern }: TopicFilter): void {
    if (hasWildcard) prune(this.root, pattern.split("/"), 0)
    else this.exact.delete(pattern)
  }

  /** Who has a filter that matches the topic. */
  match(name: string): Holders<S>[] {
    const found: Holders<S>[] = []
    const exact = this.exact.get(name)
    if (exact !== undefined) found.push(exact)
    if (!this.root.isBare) walk(this.root, name, 0, !name.startsWith("$"), found)
    return found
  }

  /** The string that other places have too, so that a comparison with it touches nothing that is not in a cache. */
  private word(level: string, pattern: string): string {
    const known = this.words.get(level)
    if (known !== undefined) return known
    if (pattern.length > LONGEST_WITH_WORDS) return level
    if (this.words.size === MOST_WORDS) this.words.clear()
    this.words.set(level, level)
    return level
  }
}

/** Forgets the places on the way of a filter that lead nowhere any more. */
function prune<S>(node: Node<S>, levels: readonly string[], depth: number): void {
  if (depth === levels.length) return
  const level = levels[depth]!
  if (level === "#") {
    node.rest = undefined
    return
  }
  const next = level === "+" ? node.any : node.child(level)
  if (next === undefined) return
  prune(next, levels, depth + 1)
  if (!next.isBare) return
  if (level === "+") node.any = undefined
  else node.removeChild(level)
}

/**
 * Collects who has the wildcard filters that match: `name` from `start` is what of the topic is below `node`. A leading wildcard does not match a `$`
 * topic. [MQTT-4.7.2-1]
 */
function walk<S>(node: Node<S>, name: string, start: number, mayBeWild: boolean, found: Holders<S>[]): void {
  const { any, rest } = node
  if (rest !== undefined && mayBeWild) found.push(rest) // `a/#` matches `a` too
  if (start > name.length) {
    if (!node.isEmpty) found.push(node)
    return
  }
  const slash = name.indexOf("/", start)
  const end = slash < 0 ? name.length : slash
  const child = node.isLeaf ? undefined : node.child(name.slice(start, end))
  if (child !== undefined) walk(child, name, end + 1, true, found)
  if (any !== undefined && mayBeWild) walk(any, name, end + 1, true, found)
}

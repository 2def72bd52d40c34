/**
 * The topics that have been seen, as a tree: what is retained when the view opens, and what goes over them while it is open.
 *
 * It is bounded: of more topics than fit, those that have not been seen for the longest time leave, and their branches with them. A topic that
 * is looked at stays, and so do more of its values than of the others.
 */
import type { Payload } from "./payload.ts"

/** A message, as it was seen. */
export interface TopicValue extends Payload {
  /** When, in milliseconds since 1970; undefined: it was retained before anybody looked. */
  readonly time: number | undefined
  readonly qos: number
  readonly retain: boolean
  /** How many there were since the value before it. */
  readonly messages: number
}

/** A level of a topic: a topic with values, a branch with topics below it, or both. */
export interface TopicNode {
  /** The name of the level, which can be empty. */
  readonly name: string
  /** All levels to here. */
  readonly topic: string
  /** 1: the first. */
  readonly level: number
  readonly parent: TopicNode | undefined
  /** The last value; undefined: only a branch. */
  readonly value: TopicValue | undefined
  /** The last values, the newest last; another array whenever there is another value. */
  readonly history: readonly TopicValue[]
  /** Whether something is retained there, as far as it is known. */
  readonly isRetained: boolean
  /** Topics, here and below, and messages that were seen over them, those that have left included. */
  readonly topics: number
  readonly messages: number
  /** Messages over this very topic. */
  readonly messagesHere: number
  readonly children: ReadonlyMap<string, TopicNode> | undefined
}

/** A node that is to be seen, and where it stands among its siblings. */
export interface TopicRow {
  readonly node: TopicNode
  /** 1: the first of `siblings`. */
  readonly position: number
  readonly siblings: number
  /** Undefined: nothing is below it. */
  readonly isOpen: boolean | undefined
}

export interface TopicTreeOptions {
  /** Default: 20,000. */
  mostTopics?: number
  /** How many values are kept of a topic, and of one that is looked at. Default: 10 and 300. */
  mostValues?: number
  mostValuesWatched?: number
}

/** So many topics that have been looked at keep their values. */
const MOST_WATCHED = 16
const NO_CHILDREN: readonly TopicNode[] = []
const collator = new Intl.Collator("en", { numeric: true })

class Node implements TopicNode {
  readonly name: string
  readonly topic: string
  readonly level: number
  readonly parent: Node | undefined
  value: TopicValue | undefined
  history: readonly TopicValue[] = []
  isRetained = false
  topics = 0
  messages = 0
  messagesHere = 0
  children: Map<string, Node> | undefined
  isOpen = false
  /** Undefined: not looked at yet, or something has come or gone. */
  private sorted: Node[] | undefined

  constructor(name: string, parent: Node | undefined) {
    this.name = name
    this.parent = parent
    this.level = parent === undefined ? 0 : parent.level + 1
    this.topic = this.level < 2 ? name : `${parent!.topic}/${name}`
  }

  child(name: string): Node {
    this.children ??= new Map()
    const known = this.children.get(name)
    if (known !== undefined) return known
    const child = new Node(name, this)
    this.children.set(name, child)
    if (this.sorted !== undefined) this.sorted.splice(this.placeOf(child), 0, child)
    return child
  }

  remove(child: Node): void {
    this.children!.delete(child.name)
    if (this.children!.size === 0) this.children = undefined
    if (this.sorted !== undefined) this.sorted.splice(this.placeOf(child), 1)
  }

  inOrder(): readonly Node[] {
    if (this.children === undefined) return NO_CHILDREN as Node[]
    this.sorted ??= [...this.children.values()].sort(inOrder)
    return this.sorted
  }

  private placeOf(child: Node): number {
    let [low, high] = [0, this.sorted!.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (inOrder(this.sorted![middle]!, child) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

export class TopicTree {
  /** Topics that have left because others came. */
  left = 0
  private readonly root = new Node("", undefined)
  /** Those with values; the one seen last is the last. */
  private readonly topics = new Map<string, Node>()
  /** Those that have been looked at; the last one is looked at now. */
  private watched: Node[] = []
  private readonly mostTopics: number
  private readonly mostValues: number
  private readonly mostValuesWatched: number

  constructor({ mostTopics = 20_000, mostValues = 10, mostValuesWatched = 300 }: TopicTreeOptions = {}) {
    this.mostTopics = mostTopics
    this.mostValues = mostValues
    this.mostValuesWatched = mostValuesWatched
  }

  /** How many topics there are. */
  get size(): number {
    return this.topics.size
  }

  get isFull(): boolean {
    return this.topics.size >= this.mostTopics
  }

  get(topic: string): TopicNode | undefined {
    return this.find(topic)
  }

  /** A message that went over the topic. */
  see(topic: string, value: TopicValue): void {
    const node = this.enter(topic)
    node.value = value
    node.history = [...node.history, value].slice(-this.mostValuesOf(node))
    node.messagesHere += value.messages
    if (value.retain) node.isRetained = value.payloadBytes > 0 // an empty one removes what was there [MQTT-3.3.1-6]
    for (let at: Node | undefined = node; at !== undefined; at = at.parent) at.messages += value.messages
  }

  /** What is retained for the topic. A value that has been seen is newer, and stays. */
  retain(topic: string, payload: Payload & { readonly qos: number }): void {
    const node = this.enter(topic)
    node.isRetained = true
    if (node.value?.time === undefined) {
      const { payloadBytes, payload: text, payloadBase64, isTruncated, qos } = payload
      node.value = {
        payloadBytes,
        payload: text,
        payloadBase64,
        isTruncated,
        qos,
        time: undefined,
        retain: true,
        messages: 0,
      }
    }
  }

  /** Nothing is retained any more for topics of which that is so: they leave, but for those over which something went. */
  forget(isForgotten: (topic: string) => boolean): void {
    for (const [topic, node] of this.topics) {
      if (!node.isRetained || !isForgotten(topic)) continue
      node.isRetained = false
      if (node.value!.time === undefined) this.leave(node)
    }
  }

  /** More of its values are kept from now on. */
  watch(topic: string): void {
    const node = this.find(topic)
    if (node === undefined) return
    this.watched = [...this.watched.filter((other) => other !== node), node]
    const former = this.watched.length > MOST_WATCHED ? this.watched.shift() : undefined
    if (former !== undefined) former.history = former.history.slice(-this.mostValuesOf(former))
  }

  setOpen(node: TopicNode, isOpen: boolean): void {
    ;(node as Node).isOpen = isOpen
  }

  /** Opens every branch that leads to a topic. */
  reveal(topic: string): void {
    for (let at = this.find(topic)?.parent; at !== undefined; at = at.parent) at.isOpen = true
  }

  /**
   * What is to be seen, from top to bottom: the branches that are open. With a text it is the topics that it is a part of, in small or large
   * letters, and all branches to them but those that `closed` has.
   */
  rows(text = "", closed: ReadonlySet<TopicNode> = new Set()): TopicRow[] {
    const rows: TopicRow[] = []
    const matching = text === "" ? undefined : this.matching(text.toLowerCase())
    const add = (nodes: readonly Node[]) => {
      const shown = matching === undefined ? nodes : nodes.filter((node) => matching.has(node))
      for (const [index, node] of shown.entries()) {
        const isBranch = node.children !== undefined
        const isOpen = matching === undefined ? node.isOpen : !closed.has(node)
        rows.push({ node, position: index + 1, siblings: shown.length, isOpen: isBranch ? isOpen : undefined })
        if (isBranch && isOpen) add(node.inOrder())
      }
    }
    add(this.root.inOrder())
    return rows
  }

  /** The topics that the text is a part of, and their branches. */
  private matching(text: string): Set<Node> {
    const matching = new Set<Node>()
    for (const [topic, node] of this.topics) {
      if (!topic.toLowerCase().includes(text)) continue
      for (let at: Node | undefined = node; at !== undefined && !matching.has(at); at = at.parent) matching.add(at)
    }
    return matching
  }

  private find(topic: string): Node | undefined {
    const known = this.topics.get(topic)
    if (known !== undefined) return known
    let at: Node | undefined = this.root
    for (const name of topic.split("/")) at = at?.children?.get(name)
    return at
  }

  /** The topic's node, which is now the one that was seen last. */
  private enter(topic: string): Node {
    const known = this.topics.get(topic)
    if (known !== undefined) {
      this.topics.delete(topic)
      this.topics.set(topic, known)
      return known
    }
    if (this.isFull) this.leaveOldest()
    let node = this.root
    for (const name of topic.split("/")) node = node.child(name)
    this.topics.set(topic, node)
    for (let at: Node | undefined = node; at !== undefined; at = at.parent) at.topics++
    return node
  }

  private leaveOldest(): void {
    for (const node of this.topics.values()) {
      if (this.watched.includes(node) && this.topics.size > MOST_WATCHED) continue
      this.left++
      this.leave(node)
      return
    }
  }

  private leave(node: Node): void {
    this.topics.delete(node.topic)
    this.watched = this.watched.filter((other) => other !== node)
    node.value = undefined
    node.history = []
    node.messagesHere = 0
    node.isRetained = false
    for (let at: Node | undefined = node; at !== undefined; at = at.parent) at.topics--
    for (let at = node; at.parent !== undefined && at.topics === 0; at = at.parent) at.parent.remove(at)
  }

  private mostValuesOf(node: Node): number {
    return this.watched.includes(node) ? this.mostValuesWatched : this.mostValues
  }
}

function inOrder(a: Node, b: Node): number {
  return collator.compare(a.name, b.name) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
}

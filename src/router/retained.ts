/**
 * The retained messages, by topic: a trie by level, walked by a topic filter. The mirror of the router, where a name
 * is looked up among filters.
 */

interface Node<M> {
  children: Map<string, Node<M>> | undefined
  message: M | undefined
}

export class RetainedMessages<M> {
  count = 0
  private readonly root: Node<M> = { children: undefined, message: undefined }

  get(topicName: string): M | undefined {
    let node: Node<M> | undefined = this.root
    for (const level of topicName.split("/")) node = node?.children?.get(level)
    return node?.message
  }

  /** Keeps `message` for the topic; gives the one it replaces. */
  set(topicName: string, message: M): M | undefined {
    let node = this.root
    for (const level of topicName.split("/")) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (child === undefined) {
        child = { children: undefined, message: undefined }
        node.children.set(level, child)
      }
      node = child
    }
    const previous = node.message
    if (previous === undefined) this.count++
    node.message = message
    return previous
  }

  /** Forgets the topic's message; gives it. */
  delete(topicName: string): M | undefined {
    const removed = prune(this.root, topicName.split("/"), 0)
    if (removed !== undefined) this.count--
    return removed
  }

  /** Visits every message whose topic the pattern matches. */
  match(pattern: string, visit: (message: M) => void): void {
    walk(this.root, pattern.split("/"), 0, visit)
  }

  /**
   * The same messages, to go through in parts: what comes and goes meanwhile may be among them or not. Undefined stands for a place that was
   * looked at and has none: where little matches, the way is as long, and whoever goes it may have to pause.
   */
  matching(pattern: string): Generator<M | undefined> {
    return select(this.root, pattern.split("/"))
  }
}

function prune<M>(node: Node<M>, levels: string[], depth: number): M | undefined {
  if (depth === levels.length) {
    const { message } = node
    node.message = undefined
    return message
  }
  const child = node.children?.get(levels[depth]!)
  if (child === undefined) return undefined
  const removed = prune(child, levels, depth + 1)
  if (child.children === undefined && child.message === undefined) {
    node.children!.delete(levels[depth]!)
    if (node.children!.size === 0) node.children = undefined
  }
  return removed
}

function walk<M>(node: Node<M>, levels: string[], depth: number, visit: (message: M) => void): void {
  if (depth === levels.length) {
    if (node.message !== undefined) visit(node.message)
    return
  }
  const level = levels[depth]!
  if (level === "#") {
    visitAll(node, depth, visit)
    return
  }
  if (node.children === undefined) return
  if (level !== "+") {
    const child = node.children.get(level)
    if (child !== undefined) walk(child, levels, depth + 1, visit)
    return
  }
  for (const [name, child] of node.children) {
    if (depth === 0 && name.startsWith("$")) continue // [MQTT-4.7.2-1]
    walk(child, levels, depth + 1, visit)
  }
}

/** Nodes that are still to be looked at, and for which level of the pattern. */
interface Way<M> {
  readonly nodes: Iterator<Node<M> | undefined>
  readonly depth: number
}

/** Not recursive: what is yielded would go through a generator for each level. */
function* select<M>(root: Node<M>, levels: string[]): Generator<M | undefined> {
  const ways: Way<M>[] = [{ nodes: [root].values(), depth: 0 }]
  for (let way = ways.at(-1); way !== undefined; way = ways.at(-1)) {
    const { value: node, done } = way.nodes.next()
    if (done) {
      ways.pop()
      continue
    }
    const level = levels[way.depth]
    yield level === undefined || level === "#" ? node?.message : undefined
    const below = level !== undefined && node?.children !== undefined && nodesBelow(node.children, level, node === root)
    if (below) ways.push({ nodes: below, depth: level === "#" ? way.depth : way.depth + 1 })
  }
}

function nodesBelow<M>(children: Map<string, Node<M>>, level: string, isTop: boolean): Way<M>["nodes"] {
  if (level !== "#" && level !== "+") return [children.get(level)].values()
  return isTop ? unhidden(children) : children.values()
}

function* unhidden<M>(children: Map<string, Node<M>>): Generator<Node<M> | undefined> {
  for (const [name, child] of children) yield name.startsWith("$") ? undefined : child // [MQTT-4.7.2-1]
}

function visitAll<M>(node: Node<M>, depth: number, visit: (message: M) => void): void {
  if (node.message !== undefined) visit(node.message)
  if (node.children === undefined) return
  for (const [name, child] of node.children) {
    if (depth === 0 && name.startsWith("$")) continue // [MQTT-4.7.2-1]
    visitAll(child, depth + 1, visit)
  }
}

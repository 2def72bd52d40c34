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

  /** The same messages, to go through in parts: what comes and goes meanwhile may be among them or not. */
  matching(pattern: string): Generator<M> {
    return select(this.root, pattern.split("/"), 0, true)
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

function* select<M>(node: Node<M>, levels: string[], depth: number, isRoot: boolean): Generator<M> {
  const level = levels[depth]
  if ((level === undefined || level === "#") && node.message !== undefined) yield node.message
  if (level === undefined || node.children === undefined) return
  if (level !== "#" && level !== "+") {
    const child = node.children.get(level)
    if (child !== undefined) yield* select(child, levels, depth + 1, false)
    return
  }
  for (const [name, child] of node.children) {
    if (isRoot && name.startsWith("$")) continue // [MQTT-4.7.2-1]
    yield* select(child, levels, level === "#" ? depth : depth + 1, false)
  }
}

function visitAll<M>(node: Node<M>, depth: number, visit: (message: M) => void): void {
  if (node.message !== undefined) visit(node.message)
  if (node.children === undefined) return
  for (const [name, child] of node.children) {
    if (depth === 0 && name.startsWith("$")) continue // [MQTT-4.7.2-1]
    visitAll(child, depth + 1, visit)
  }
}

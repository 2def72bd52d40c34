/**
 * Values with where each comes from, as long as they are put together: the file's, over them the environment's, over them those of flags,
 * value by value. A list of plain values is a value, a list of tables is a list: `listeners` is the one there is.
 */
import { keyName, type Path } from "./keys.ts"

/** Where a value comes from; of one in the file where it is there, which need not be where it is in the end. */
export type Source =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly path: Path }
  /** `path`: what it sets, which may be more than one value. */
  | { readonly kind: "variable"; readonly name: string; readonly path: Path }
  | { readonly kind: "flag"; readonly name: string }

export const byDefault: Source = { kind: "default" }

/** A value, and where it comes from. */
export interface Leaf {
  readonly kind: "leaf"
  readonly value: unknown
  readonly source: Source
}

export interface Table {
  readonly kind: "table"
  readonly entries: Map<string, Node>
  readonly source: Source
}

export interface List {
  readonly kind: "list"
  readonly items: Table[]
  readonly source: Source
}

export type Node = Leaf | Table | List

export function leaf(value: unknown, source: Source): Leaf {
  return { kind: "leaf", value, source }
}

export function table(source: Source, entries: Iterable<readonly [string, Node]> = []): Table {
  return { kind: "table", entries: new Map(entries), source }
}

export function list(source: Source, items: Table[] = []): List {
  return { kind: "list", items, source }
}

/** Lays a table over another: values and lists replace, tables grow together. */
export function overlay(base: Table, over: Table): void {
  for (const [name, node] of over.entries) {
    const below = base.entries.get(name)
    if (node.kind === "table" && below?.kind === "table") overlay(below, node)
    else base.entries.set(name, node)
  }
}

/** What is there; undefined where nothing is. */
export function nodeAt(node: Node, path: Path): Node | undefined {
  const [step, ...rest] = path
  if (step === undefined) return node
  const next = node.kind === "table" ? node.entries.get(String(step)) : childOf(node, step)
  return next && nodeAt(next, rest)
}

function childOf(node: Leaf | List, step: string | number): Node | undefined {
  return node.kind === "list" && typeof step === "number" ? node.items[step] : undefined
}

/** What is there, or the table or list around that is nearest. */
export function nearestTo(node: Node, path: Path): Node {
  for (let length = path.length; length > 0; length--) {
    const found = nodeAt(node, path.slice(0, length))
    if (found !== undefined) return found
  }
  return node
}

/** The value of a leaf. */
export function valueAt(node: Node, ...path: Path): unknown {
  const found = nodeAt(node, path)
  return found?.kind === "leaf" ? found.value : undefined
}

/** The listeners. */
export function itemsOf(tree: Table): Table[] {
  const listeners = tree.entries.get("listeners")
  return listeners?.kind === "list" ? listeners.items : []
}

/** Puts a value in its place, with the tables around it. */
export function put(top: Table, path: Path, value: unknown, source: Source): void {
  let node: Node = top
  for (const step of path.slice(0, -1)) {
    let next: Node | undefined = nodeAt(node, [step])
    if (next?.kind !== "table" && next?.kind !== "list") {
      if (node.kind !== "table") throw new Error(`no place for ${keyName(path)}`)
      node.entries.set(String(step), (next = table(source)))
    }
    node = next
  }
  if (node.kind !== "table") throw new Error(`no place for ${keyName(path)}`)
  node.entries.set(String(path.at(-1)), leaf(value, source))
}

/** Every leaf below, with its path. */
export function* leavesOf(node: Node, path: Path = []): Generator<readonly [Path, Leaf]> {
  if (node.kind === "leaf") yield [path, node]
  else if (node.kind === "list") for (const [at, item] of node.items.entries()) yield* leavesOf(item, [...path, at])
  else for (const [name, entry] of node.entries) yield* leavesOf(entry, [...path, name])
}

/** The values alone. */
export function plain(node: Node): unknown {
  if (node.kind === "leaf") return node.value
  if (node.kind === "list") return node.items.map(plain)
  return Object.fromEntries(Array.from(node.entries, ([name, entry]) => [name, plain(entry)]))
}

/** How whoever has given a value calls it: a flag, a variable, or a key, which in the file may stand at another place. */
export function nameOf(path: Path, source: Source): string {
  if (source.kind === "flag") return source.name
  if (source.kind !== "variable") return keyName(source.kind === "file" ? source.path : path)
  return source.path.length === path.length ? source.name : `${source.name} (${keyName(path)})`
}

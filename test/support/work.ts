/**
 * How much work something is, counted and not timed: what is looked at, one after the other, in arrays, maps and sets, and how often
 * a session is asked whether it is ready. Loops by index are not seen, unless they ask that.
 */
import { Session } from "../../src/session/index.ts"

const linear = [
  ...["indexOf", "includes", "find", "findIndex", "some", "every", "filter", "map", "forEach"],
  ...["slice", "splice", "toSpliced", "toSorted", "sort", "reverse", "concat"],
]
const iterators = [[], new Map(), new Set()].map((each) => Object.getPrototypeOf(each[Symbol.iterator]()))

/** Counts while `run` does its work. */
export function workOf(run: () => void): number {
  let count = 0
  const undo: (() => void)[] = []
  const replace = (owner: object, name: string, weigh: (subject: unknown) => number) => {
    const before = Object.getOwnPropertyDescriptor(owner, name)!
    const original = before.value as (...args: unknown[]) => unknown
    const counted = function (this: unknown, ...args: unknown[]) {
      count += weigh(this)
      return Reflect.apply(original, this, args)
    }
    Object.defineProperty(owner, name, { ...before, value: counted })
    undo.push(() => Object.defineProperty(owner, name, before))
  }
  for (const name of linear) replace(Array.prototype, name, (array) => (array as unknown[]).length)
  for (const iterator of iterators) replace(iterator, "next", () => 1)
  replace(Session.prototype, "isReadyFor", () => 1)
  try {
    run()
  } finally {
    for (const each of undo) each()
  }
  return count
}

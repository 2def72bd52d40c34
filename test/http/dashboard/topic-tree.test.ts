/** The tree of topics: what it keeps, what leaves it, what of it is to be seen, and where the keys lead. */
import { describe, expect, test } from "bun:test"
import { type TopicRow, TopicTree, type TopicValue } from "../../../src/http/dashboard/model/topic-tree.ts"
import { moveBy, TypeAhead } from "../../../src/http/dashboard/model/tree-keys.ts"

const value = (payload = "1", more: Partial<TopicValue> = {}): TopicValue => {
  return { payload, payloadBytes: payload.length, time: 1000, qos: 0, retain: false, messages: 1, ...more }
}
const retained = (payload = "r") => ({ payload, payloadBytes: payload.length, qos: 1 })

function seen(...topics: string[]): TopicTree {
  const tree = new TopicTree()
  for (const topic of topics) tree.see(topic, value())
  return tree
}

/** `+` closed, `-` open, by level. */
function draw(rows: readonly TopicRow[]): string[] {
  return rows.map(({ node, isOpen }) => {
    const sign = isOpen === undefined ? " " : isOpen ? "-" : "+"
    return `${"  ".repeat(node.level - 1)}${sign}${node.name}`
  })
}
const openAll = (tree: TopicTree, ...topics: string[]) => {
  for (const topic of topics) tree.setOpen(tree.get(topic)!, true)
}

describe("the tree", () => {
  test("has a row for each first level, and below a branch once it is open", () => {
    const tree = seen("a/b/c", "a/d", "e")
    expect(draw(tree.rows())).toEqual(["+a", " e"])
    openAll(tree, "a")
    expect(draw(tree.rows())).toEqual(["-a", "  +b", "   d", " e"])
    openAll(tree, "a/b")
    expect(draw(tree.rows())).toEqual(["-a", "  -b", "     c", "   d", " e"])
  })

  test("levels can be empty", () => {
    const tree = seen("/a", "a/", "/")
    openAll(tree, "", "a")
    expect(tree.rows().map(({ node }) => node.topic)).toEqual(["", "/", "/a", "a", "a/"])
  })

  test("a topic can be a branch as well", () => {
    const tree = seen("a", "a/b")
    expect(tree.rows()).toMatchObject([{ node: { topic: "a", value: { payload: "1" }, topics: 2 }, isOpen: false }])
  })

  test("names are in order, numbers by what they count", () => {
    expect(draw(seen("s10", "s9", "b", "A", "a", "s1").rows())).toEqual([" a", " A", " b", " s1", " s9", " s10"])
  })

  test("names that count the same are others, and each leaves by itself", () => {
    const tree = new TopicTree({ mostTopics: 4 })
    for (const name of ["1", "01", "001"]) {
      tree.see(name, value())
      tree.rows()
    }
    expect(draw(tree.rows())).toEqual([" 001", " 01", " 1"])
    for (const name of ["2", "3", "4"]) tree.see(name, value())
    expect(draw(tree.rows())).toEqual([" 001", " 2", " 3", " 4"])
  })

  test("who comes later takes its place in a branch that has been looked at", () => {
    const tree = seen("s1", "s3")
    tree.rows()
    for (const topic of ["s2", "s0", "s4"]) tree.see(topic, value())
    expect(draw(tree.rows())).toEqual([" s0", " s1", " s2", " s3", " s4"])
  })

  test("each row knows its place among its siblings", () => {
    const tree = seen("a/x", "a/y", "b")
    openAll(tree, "a")
    expect(tree.rows().map(({ position, siblings }) => `${position}/${siblings}`)).toEqual(["1/2", "1/2", "2/2", "2/2"])
  })

  test("branches count their topics and messages", () => {
    const tree = new TopicTree()
    tree.see("a/b/c", value("1", { messages: 3 }))
    tree.see("a/d", value("1", { messages: 4 }))
    tree.see("a/d", value("1", { messages: 5 }))
    expect(tree.get("a")).toMatchObject({ topics: 2, messages: 12 })
    expect(tree.get("a/b")).toMatchObject({ topics: 1, messages: 3 })
    expect(tree.size).toBe(2)
  })

  test("a topic is revealed by opening what leads to it", () => {
    const tree = seen("a/b/c", "a/d/e")
    tree.reveal("a/b/c")
    expect(draw(tree.rows())).toEqual(["-a", "  -b", "     c", "  +d"])
  })
})

describe("retained messages", () => {
  test("are there with their values before anything happens", () => {
    const tree = new TopicTree()
    tree.retain("a", retained("x"))
    expect(tree.get("a")).toMatchObject({
      isRetained: true,
      value: { payload: "x", qos: 1, time: undefined },
      history: [],
    })
  })
  test("take the place of no value that was seen", () => {
    const tree = seen("a")
    tree.retain("a", retained("older"))
    expect(tree.get("a")).toMatchObject({ isRetained: true, value: { payload: "1" } })
  })
  test("come and go with messages that are to be retained", () => {
    const tree = new TopicTree()
    tree.see("a", value("1", { retain: true }))
    expect(tree.get("a")!.isRetained).toBe(true)
    tree.see("a", value("2"))
    expect(tree.get("a")!.isRetained).toBe(true)
    tree.see("a", value("", { retain: true }))
    expect(tree.get("a")!.isRetained).toBe(false)
  })
  test("that are forgotten leave, but for topics over which something went", () => {
    const tree = new TopicTree()
    for (const topic of ["a/b", "a/c", "d"]) tree.retain(topic, retained())
    tree.see("a/c", value())
    tree.forget((topic) => topic.startsWith("a/"))
    openAll(tree, "a")
    expect(draw(tree.rows())).toEqual(["-a", "   c", " d"])
    expect([tree.get("a/c")!.isRetained, tree.get("d")!.isRetained, tree.get("a")!.topics]).toEqual([false, true, 1])
  })
})

describe("it is bounded", () => {
  test("of too many topics those leave that were not seen for the longest time, and their branches", () => {
    const tree = new TopicTree({ mostTopics: 3 })
    for (const topic of ["a/1", "b/1", "c/1", "a/1", "d/1"]) tree.see(topic, value())
    expect(draw(tree.rows())).toEqual(["+a", "+c", "+d"])
    expect([tree.size, tree.left, tree.get("b/1"), tree.get("b")]).toEqual([3, 1, undefined, undefined])
  })
  test("a topic that is a branch of others stays as that", () => {
    const tree = new TopicTree({ mostTopics: 2 })
    for (const topic of ["a", "a/b", "c"]) tree.see(topic, value())
    expect(tree.get("a")).toMatchObject({ value: undefined, topics: 1 })
  })
  test("in a million messages over 100,000 topics it stays as large as it may be, and in order", () => {
    const tree = new TopicTree({ mostTopics: 500 })
    for (let n = 0; n < 200_000; n++) {
      tree.see(`f/${(n * 7919) % 100}/${(n * 104_729) % 1000}`, value())
      if (n % 50_000 === 0) openAll(tree, "f")
    }
    expect([tree.size, tree.get("f")!.topics]).toEqual([500, 500])
    for (const branch of tree.get("f")!.children!.values()) tree.setOpen(branch, true)
    tree.setOpen(tree.get("f")!, true)
    const names = tree
      .rows()
      .filter(({ node }) => node.level === 2)
      .map(({ node }) => Number(node.name))
    expect(names).toEqual(names.toSorted((a, b) => a - b))
    expect(tree.rows().filter(({ node }) => node.value !== undefined)).toHaveLength(500)
  })
  test("ten values are kept of a topic, of one that is looked at 300, and that one does not leave", () => {
    const tree = new TopicTree({ mostTopics: 20 })
    const fill = (topic: string) => {
      for (let n = 0; n < 400; n++) tree.see(topic, value(`${n}`))
    }
    fill("a")
    expect(tree.get("a")!.history.map(({ payload }) => payload)).toEqual(
      Array.from({ length: 10 }, (_, n) => `${390 + n}`),
    )
    tree.watch("a")
    fill("a")
    expect(tree.get("a")!.history).toHaveLength(300)
    for (let n = 0; n < 100; n++) tree.see(`other/${n}`, value())
    expect(tree.get("a")!.history).toHaveLength(300)
  })
  test("of more than sixteen that have been looked at, those looked at last keep their values", () => {
    const tree = new TopicTree()
    for (let topic = 0; topic < 18; topic++) {
      tree.see(`t${topic}`, value())
      tree.watch(`t${topic}`)
      for (let n = 0; n < 20; n++) tree.see(`t${topic}`, value())
    }
    expect(Array.from({ length: 18 }, (_, topic) => tree.get(`t${topic}`)!.history.length)).toEqual([
      10,
      10,
      ...Array(16).fill(21),
    ])
  })
})

describe("a search", () => {
  const tree = seen("home/kitchen/temp", "home/kitchen/light", "home/cellar/Temp", "garden/temperature", "attic/fan")
  test("leaves the topics that the text is a part of, and opens what leads to them", () => {
    expect(draw(tree.rows("TEMP"))).toEqual([
      ...["-garden", "   temperature"],
      ...["-home", "  -cellar", "     Temp", "  -kitchen", "     temp"],
    ])
    expect(draw(tree.rows("kitchen/l"))).toEqual(["-home", "  -kitchen", "     light"])
    expect(tree.rows("nothing")).toEqual([])
  })
  test("counts positions among what is shown", () => {
    expect(tree.rows("fan")).toMatchObject([
      { position: 1, siblings: 1 },
      { position: 1, siblings: 1 },
    ])
  })
  test("branches can be closed in it, and the tree is as it was after it", () => {
    expect(draw(tree.rows("temp", new Set([tree.get("home")!])))).toEqual(["-garden", "   temperature", "+home"])
    expect(draw(tree.rows())).toEqual(["+attic", "+garden", "+home"])
  })
})

describe("the keyboard", () => {
  const tree = seen("a/b/c", "a/d", "e", "f")
  openAll(tree, "a")
  const rows = tree.rows() // -a +b d e f
  const leads: [key: string, from: number, move: object | undefined][] = [
    ["ArrowDown", 0, { to: 1 }],
    ["ArrowDown", 4, { to: 4 }],
    ["ArrowUp", 2, { to: 1 }],
    ["ArrowUp", 0, { to: 0 }],
    ["Home", 3, { to: 0 }],
    ["End", 0, { to: 4 }],
    ["PageDown", 1, { to: 4 }],
    ["PageUp", 3, { to: 0 }],
    ["ArrowRight", 1, { isOpen: true }],
    ["ArrowRight", 0, { to: 1 }],
    ["ArrowRight", 2, undefined],
    ["ArrowLeft", 0, { isOpen: false }],
    ["ArrowLeft", 2, { to: 0 }],
    ["ArrowLeft", 3, undefined],
    ["x", 0, undefined],
  ]
  for (const [key, from, move] of leads) {
    test(`${key} on ${rows[from]!.node.topic}`, () => expect(moveBy(key, rows, from)).toEqual(move as never))
  }
  test("in no rows no key does anything", () => expect(moveBy("ArrowDown", [], 0)).toBeUndefined())

  test("letters lead to names that begin with them, typed soon after each other to names that begin with all", () => {
    const rows = seen("apple", "banana", "blueberry", "Blackberry").rows() // apple banana Blackberry blueberry
    const ahead = new TypeAhead()
    expect(ahead.type("b", rows, 0, 0)).toBe(1)
    expect(ahead.type("l", rows, 1, 100)).toBe(2)
    expect(ahead.type("u", rows, 2, 200)).toBe(3)
    expect(ahead.type("a", rows, 3, 2000)).toBe(0)
    expect(ahead.type("z", rows, 0, 4000)).toBe(-1)
    expect(ahead.type("b", rows, 0, 9000)).toBe(1)
    ahead.forget()
    expect(ahead.type("a", rows, 1, 9100)).toBe(0)
  })
  test("the same letter again leads to the next name, round and round", () => {
    const rows = seen("ab", "ac", "b").rows()
    const ahead = new TypeAhead()
    expect([0, 1, 0].map((from, n) => ahead.type("a", rows, from, n * 100))).toEqual([1, 0, 1])
  })
})

/** What keys do in `manju top`. */
import { describe, expect, test } from "bun:test"
import { keysIn, pressed, type View } from "../../../src/cli/top/view.ts"

const view: View = { topicOrder: "rate", clientOrder: "messages", filter: "#", draft: undefined, isHalted: false }
/** The view after these keys; undefined: one of them has ended it. */
const after = (text: string): View | undefined =>
  keysIn(text).reduce<View | undefined>((before, key) => before && pressed(before, key), view)

test("q, Ctrl-C and Ctrl-D end it", () => {
  for (const key of ["q", "\x03", "\x04"]) expect(after(key)).toBeUndefined()
})

test("s and c go through the orders, and around", () => {
  expect(["s", "ss", "sss", "ssss"].map((keys) => after(keys)!.topicOrder)).toEqual([
    "size",
    "messages",
    "topic",
    "rate",
  ])
  expect(["c", "cc", "ccc", "cccc"].map((keys) => after(keys)!.clientOrder)).toEqual([
    "in",
    "out",
    "client",
    "messages",
  ])
})

test("space halts, and goes on", () => {
  expect([after(" ")!.isHalted, after("  ")!.isHalted]).toEqual([true, false])
})

test("other keys and arrows do nothing", () => expect(after("x\x1b[A\x1bOB\x1b[15~Ü")).toEqual(view))

describe("/ takes a topic filter", () => {
  test("letter by letter, until Enter", () => {
    expect(after("/a/+")).toEqual({ ...view, draft: "a/+" })
    expect(after("/a/+\r")).toEqual({ ...view, filter: "a/+" })
  })

  test("in which q and s are letters, space is space, and Ctrl-C ends it", () => {
    expect(after("/qs c\r")!.filter).toBe("qs c")
    expect(after("/q\x03")).toBeUndefined()
  })

  test("backspace takes back a character, Ctrl-U all of them, arrows nothing", () => {
    expect(after("/ab😀\x7f\x1b[D\b")!.draft).toBe("a")
    expect(after("/ab\x15c")!.draft).toBe("c")
  })

  test("Escape leaves it, and nothing at all leaves the filter as it is", () => {
    expect(after("/ab\x1b")).toEqual(view)
    expect(after("/\r")).toEqual(view)
  })
})

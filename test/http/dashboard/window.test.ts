/** Which rows of a long list are made. */
import { expect, test } from "bun:test"
import { rowsInView, scrollTopFor } from "../../../src/http/dashboard/model/window.ts"

const view = { rows: 20_000, rowHeight: 30, height: 600 }

test("of thousands of rows those in view are made, and eight before and after", () => {
  expect(rowsInView({ ...view, scrollTop: 0 })).toEqual({ first: 0, end: 28 })
  expect(rowsInView({ ...view, scrollTop: 300_010 })).toEqual({ first: 9992, end: 10_029 })
  expect(rowsInView({ ...view, scrollTop: 599_400 })).toEqual({ first: 19_972, end: 20_000 })
})

test("a list that has become shorter than it was scrolled has no rows before the browser scrolls back", () => {
  expect(rowsInView({ ...view, rows: 5, scrollTop: 300_000 })).toEqual({ first: 5, end: 5 })
})

test("it is scrolled no further than the row needs", () => {
  const from = { rowHeight: 30, height: 600, scrollTop: 300 }
  expect(scrollTopFor(9, from)).toBe(270)
  expect(scrollTopFor(10, from)).toBe(300)
  expect(scrollTopFor(29, from)).toBe(300)
  expect(scrollTopFor(30, from)).toBe(330)
})

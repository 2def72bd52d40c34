/** The topic explorer's filter. */
import { describe, expect, test } from "bun:test"
import { filterBelow, filterError, filterFor } from "../../../src/http/dashboard/model/topic-filter.ts"
import { parseTopicFilter } from "../../../src/router/index.ts"

const limits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }

describe("a filter is refused where the broker would refuse it", () => {
  const filters = [
    ...["#", "+", "a", "a/b", "a/#", "+/#", "+/a/+", "/", "//", "/#", "$SYS/#", "a b/ü"],
    ...["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "##", "a/+#"],
  ]
  for (const filter of filters) {
    test(JSON.stringify(filter), () => {
      expect(filterError(filter) === undefined).toBe(parseTopicFilter(filter, limits) !== undefined)
    })
  }
  test("and where it is shared: the explorer looks, and takes nobody's messages", () => {
    expect(filterError("$share/g/a")).toContain("not shared")
  })
})

test("a topic is found by all but the broker's own", () => {
  expect(["a/b", "/a", "$SYS/broker/uptime", "a/$b"].map(filterFor)).toEqual(["#", "#", "$SYS/#", "#"])
})

test("a branch is a topic and everything below it", () => {
  expect(["a", "", "a/"].map(filterBelow)).toEqual(["a/#", "/#", "a//#"])
})

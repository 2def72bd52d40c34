import { describe, expect, test } from "bun:test"
import { check, findProblems, renderTable, specifications, type Tags, tagsIn } from "../../scripts/coverage.ts"

describe("the statements", () => {
  for (const { name, statements } of specifications)
    test(`${name}: ids are unique and well-formed, texts are short`, () => {
      expect(new Set(statements.map(({ id }) => id)).size).toBe(statements.length)
      for (const { id, binds, text } of statements) {
        expect(id).toMatch(/^MQTT-\d+\.\d+\.\d+-\d+$/)
        expect(["server", "client", "both"]).toContain(binds)
        expect(text.length).toBeLessThanOrEqual(200)
      }
    })
})

describe("tags", () => {
  test("count in every kind of string literal, and several in one name", () => {
    const source = `
      const cases = [{ clause: "[MQTT-1.5.4-1]" }]
      describe.each(cases)("$clause [MQTT-3.1.0-1] [v3.1.1 MQTT-3.1.0-2]", () => {
        for (const version of [4, 5] as const) test(\`[MQTT-3.1.0-2] v\${version}\`, () => {})
      })`
    expect(tagsIn(source)).toEqual(["MQTT-1.5.4-1", "MQTT-3.1.0-1", "v3.1.1 MQTT-3.1.0-2", "MQTT-3.1.0-2"])
  })

  test("do not count in comments, nor in the name of a test that does not run", () => {
    const source = `
      // [MQTT-3.1.0-1]
      /* "[MQTT-3.1.0-1]" */
      //! [MQTT-3.1.0-1]
      test.todo("[MQTT-3.1.0-1]")
      describe.skip("[MQTT-3.1.0-1]", () => {})`
    expect(tagsIn(source)).toEqual([])
  })
})

describe("the check", () => {
  const tested = (...tags: string[]): Tags => new Map(tags.map((tag) => [tag, new Map([["a.test.ts", 1]])]))
  const problemsWith = (tag: string) => findProblems(tested(tag)).filter((problem) => problem.includes(tag))

  test("refuses a tag that names no statement", () => {
    for (const tag of ["MQTT-9.9.9-9", "v3.1 MQTT-3.1.0-2", "MQTT-3.1.0-1, 2"])
      expect(problemsWith(tag)).toEqual([`unknown statement: [${tag}] in a.test.ts`])
  })

  test("refuses a server's statement without test or reason", () => {
    const problem = findProblems(tested("MQTT-3.1.0-1")).find((line) => line.startsWith("MQTT 5.0: neither"))
    expect(problem).toContain("MQTT-3.1.0-2,")
    expect(problem).not.toContain("MQTT-3.1.0-1,")
  })

  test("refuses a reason beside a test", () => {
    const { tagPrefix, statements } = specifications[1]!
    const { id } = statements.find(({ untestable }) => untestable !== undefined)!
    expect(findProblems(tested(tagPrefix + id)).join("\n")).toContain(`"untestable" is stale: ${id}`)
  })

  test("the table names the files of a tested statement and the reason of the others", () => {
    const table = renderTable(tested("MQTT-3.1.0-2"))
    expect(table).toMatch(/\| MQTT-3\.1\.0-2 \| server \| .* \| a\.test\.ts \(1\) \|/)
    expect(table).toContain("- MQTT-3.1.0-1: no test yet")
    expect(table).toContain("- MQTT-3.3.4-5: ")
  })

  test("this repository passes it", async () => {
    expect(await check()).toEqual([])
  })
})

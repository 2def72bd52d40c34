/** Levels of the log, of all and of areas, from wherever they are given. */
import { describe, expect, test } from "bun:test"
import { describe as printed } from "../../src/config/describe.ts"
import { problemsOf, valuesOf, withLoaded } from "../support/configuration.ts"

const levelsOf = async (sources: Parameters<typeof valuesOf>[0]): Promise<unknown[]> => {
  const { logLevel, logAreas } = await valuesOf(sources)
  return [logLevel, logAreas]
}

describe("--log-level takes", () => {
  for (const [given, level, areas] of [
    ["warn", "warn", {}],
    ["warn,auth=debug", "warn", { auth: "debug" }],
    ["auth=debug, warn , message = silent", "warn", { auth: "debug", message: "silent" }],
    ["store=debug", "info", { store: "debug" }],
  ] as const)
    test(given, async () => expect(await levelsOf({ flags: { "--log-level": given } })).toEqual([level, areas]))

  for (const given of [
    "loud",
    "",
    "warn,",
    "frob=debug",
    "auth=loud",
    "auth=",
    "=debug",
    "toString=debug",
    "auth=debug=info",
  ])
    test(`not ${given || "nothing"}`, async () => {
      const [line] = await problemsOf({ flags: { "--log-level": given } })
      expect(line).toStartWith(
        "--log-level takes one of debug, info, warn, error, silent, and behind commas levels of ",
      )
    })
})

test("a flag counts more than a variable, that more than the file, area by area", async () => {
  const file = 'logLevel = "error"\nlogAreas = { auth = "error", client = "error", store = "error" }'
  const environment = { MANJU_LOG_AREAS: '{"client":"warn"}', MANJU_LOG_AREAS_STORE: "warn" }
  const flags = { "--log-level": "store=debug" }
  const expected = ["error", { auth: "error", client: "warn", store: "debug" }]
  expect(await levelsOf({ file, environment, flags })).toEqual(expected)
})

test("check says what has given each", async () => {
  const lines = await withLoaded({ file: 'logAreas.auth = "warn"', flags: { "--log-level": "store=debug" } }, printed)
  expect(lines.find((line) => line.startsWith("auth = "))).toMatch(/^auth = "warn" +# \S+manju\.toml:1$/)
  expect(lines.find((line) => line.startsWith("store = "))).toMatch(/^store = "debug" +# --log-level$/)
})

test("an area that there is not is told with those that there are", async () => {
  expect(await problemsOf({ file: "[logAreas]\nfrobnicate = 'debug'" })).toEqual([
    "manju.toml:2: logAreas.frobnicate: there is no such key; there are client, auth, message, listener, store, broker",
  ])
  expect(await problemsOf({ file: "[logAreas]\nauth = 'loud'" })).toEqual([
    'manju.toml:2: logAreas.auth takes one of debug, info, warn, error, silent, not "loud"',
  ])
})

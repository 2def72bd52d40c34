/** What a file says otherwise when it is read again. */
import { expect, test } from "bun:test"
import { type Differences, differencesOf, flat } from "../../src/config/compare.ts"
import { withLoaded } from "../support/configuration.ts"

async function between(before: string, after: string): Promise<Differences> {
  const holding = await withLoaded({ file: before }, flat)
  return withLoaded({ file: after }, (configuration) => differencesOf(holding, configuration))
}

const nothing = { limits: {}, logLevels: new Map(), others: [] }

test("the same says nothing, however it is written", async () => {
  expect(await between("limits.maximumInflight = 5", "# more\n[limits]\nmaximumInflight = 5 # again")).toEqual(nothing)
})

test("limits and the levels of the log are told with their values; an area that has one no more, with none", async () => {
  const changed = await between(
    "limits.maximumInflight = 5\nlimits.receiveMaximum = 6\nlogAreas = { auth = 'debug', client = 'warn' }",
    "logLevel = 'warn'\nlimits.receiveMaximum = 7\nlogAreas = { client = 'warn', store = 'info' }",
  )
  expect(changed).toEqual({
    limits: { maximumInflight: 1024, receiveMaximum: 7 },
    logLevels: new Map([
      ["logLevel", '"warn"'],
      ["logAreas.auth", undefined],
      ["logAreas.store", '"info"'],
    ]),
    others: [],
  })
})

test("everything else is told by its name: what has changed, come or gone", async () => {
  const tcp = "[[listeners]]\ntype = 'tcp'\nport = 5\n"
  const changed = await between(`${tcp}tls = { cert = '/c', key = '/k' }`, `data = '/d'\n${tcp.replace("5", "6")}`)
  expect(changed.others.toSorted()).toEqual([
    "data",
    "listeners[0].port",
    "listeners[0].tls.cert",
    "listeners[0].tls.key",
  ])
  expect(changed.limits).toEqual({})
})

test("a limit that is given no more has its default again: with a database that for one, if the start had it", async () => {
  const given = "[limits]\nmaximumQueuedMessages = 5\nmaximumTopicLevels = 6"
  const fallen = { maximumQueuedMessages: 10_000, maximumTopicLevels: 128 }
  expect((await between(given, "")).limits).toEqual(fallen)
  expect((await between(given, "data = '/d'")).limits).toEqual(fallen)
  const withData = { maximumQueuedMessages: Number.MAX_SAFE_INTEGER, maximumTopicLevels: 128 }
  expect((await between(`data = '/d'\n${given}`, "")).limits).toEqual(withData)
})

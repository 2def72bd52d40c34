/** strftime against date(1), which calls C's. */
import { describe, expect, test } from "bun:test"
import { strftime } from "../../../src/cli/client/strftime.ts"

const conversions = [..."aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%"]
const separator = "\x1f"

/** Leap days, both ends of years whose weeks belong to the other one, every hour of a day. */
const instants = [
  ...["2024-02-29T12:34:56Z", "2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2020-12-31T06:07:08Z"],
  ...["2021-01-01T01:00:00Z", "2021-01-03T13:00:00Z", "2021-01-04T00:00:01Z", "2027-01-01T11:59:59Z"],
  ...["1999-12-31T00:30:00Z", "2000-01-01T12:00:00Z", "2005-01-02T10:10:10Z", "2026-06-07T08:09:10Z"],
  ...Array.from({ length: 24 }, (_, hour) => `2026-11-09T${String(hour).padStart(2, "0")}:05:09Z`),
].map((text) => new Date(text))

describe("@ and a letter are what C makes of % and that letter", () => {
  for (const date of instants)
    test(date.toISOString(), () => {
      const format = conversions.map((each) => `%${each}`).join(separator)
      const environment = { ...process.env, LC_ALL: "C", TZ: "UTC0" }
      const seconds = Math.floor(date.getTime() / 1000)
      const shown = Bun.spawnSync(["date", "-d", `@${seconds}`, `+${format}`], { env: environment }).stdout.toString()
      const expected = shown.slice(0, -1).split(separator)
      const ours = conversions.map((each) => strftime(each, date))
      expect(Object.fromEntries(conversions.map((each, i) => [each, ours[i]]))).toEqual(
        Object.fromEntries(conversions.map((each, i) => [each, expected[i]])),
      )
    })

  test("and the two themselves where it stands for nothing", () => {
    expect(["E", "O", "f", "Q", "é"].map((each) => strftime(each, instants[0]!))).toEqual([
      "%E",
      "%O",
      "%f",
      "%Q",
      "%é",
    ])
  })
})

test("the time is that of the time zone", () => {
  const program = `
    import { strftime } from ${JSON.stringify(require.resolve("../../../src/cli/client/strftime.ts"))}
    for (const text of ["2026-01-01T02:00:00Z", "2026-07-01T02:00:00Z"]) {
      console.log([..."FTzZj"].map((each) => strftime(each, new Date(text))).join(" "))
    }`
  const run = (TZ: string) =>
    Bun.spawnSync([process.execPath, "-e", program], { env: { ...process.env, TZ } }).stdout.toString()
  expect(run("America/New_York")).toBe("2025-12-31 21:00:00 -0500 EST 365\n2026-06-30 22:00:00 -0400 EDT 181\n")
  expect(run("Asia/Kolkata").replaceAll(/ [^ ]+ (\d+\n)/g, " $1")).toBe(
    "2026-01-01 07:30:00 +0530 001\n2026-07-01 07:30:00 +0530 182\n",
  )
})

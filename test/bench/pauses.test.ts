/** What JavaScriptCore says of its garbage collections, as lines of Bun 1.4.5. */
import { describe, expect, test } from "bun:test"
import { PauseLog } from "../../scripts/bench/pauses.ts"

const begun =
  "[GC<0x292c619c118>: START M 8923kb => EdenCollection, a=0kb hf=0.000 mu=0.600 v=0kb (C:0 M:0 P1:0) o=0 b=0 i#1:N<CsMsrShDMsm(0)SrbBcs> 13+0 p=1.204478ms (max 1.204478)...]\n"
const ended =
  "[GC<0x292c619c118>: M a=430kb hf=0.131 mu=0.521 v=577kb (C:255 M:0 P1:321) o=1 b=2 i#4:P<Msm(0)SrbCs>Pbc => 618kb, p=2.5ms (max 2.5), cycle 3.452679ms END]\n"
const others = "Requesting GC because bytes allocated this cycle: 8403060 exceed bytes allowed: 8388608\nGC END!\n"

describe("pauses", () => {
  test("are all stops, and not the time that a collection takes beside the program", () => {
    const log = new PauseLog()
    log.read(others + begun + ended + others)
    expect(log.pauses).toEqual({ count: 2, longestMilliseconds: 2.5, totalMilliseconds: 3.704478 })
  })

  test("are found however the text is cut", () => {
    const log = new PauseLog()
    for (const character of begun + ended) log.read(character)
    expect(log.pauses).toMatchObject({ count: 2, longestMilliseconds: 2.5 })
  })

  test("are unknown of a broker that tells of none", () => {
    const log = new PauseLog()
    log.read("1763850000: mosquitto version 2.0.11 starting\n")
    expect(log.pauses).toBeUndefined()
  })
})

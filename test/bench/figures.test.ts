/** README's tables and charts follow from the results that are kept beside them, and can be read by day and by night. */
import { describe, expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join, relative } from "node:path"
import { document, drawings, inserted, sections } from "../../scripts/bench/figures/document.ts"
import { headline } from "../../scripts/bench/figures/headline.ts"
import { filesOf, textOf } from "../../scripts/bench/figures/index.ts"
import { bytes, compact, shortest } from "../../scripts/bench/figures/numbers.ts"
import { dark, light } from "../../scripts/bench/figures/palette.ts"
import { type Results, readResults, repository } from "../../scripts/bench/figures/results.ts"

describe("what is in the repository", () => {
  const files = filesOf(readResults())

  for (const [path, text] of files) {
    test(`${relative(repository, path)} is what bun run bench figures makes of the results`, () => {
      expect(textOf(path)).toBe(text)
    })
  }

  test("there is no chart of what is not measured any more", () => {
    const directory = join(repository, "scripts/bench/figures")
    const charts = readdirSync(directory).filter((name) => name.endsWith(".svg"))
    expect(charts.map((name) => join(directory, name)).filter((path) => !files.has(path))).toEqual([])
  })

  test("no result names a path of the machine that it was measured on", () => {
    const text = JSON.stringify(readResults())
    expect(text.match(/"[^"]*(?:\/tmp\/|\/home\/|\/root\/)[^"]*"/)).toBeNull()
  })
})

/** A round of everything, with made-up figures. */
const results = made()

describe("a chart", () => {
  const drawn = drawings(results)

  test("there is one of each", () => {
    expect(Object.keys(drawn)).toEqual(["throughput.svg", "payload.svg", "latency.svg", "growth.svg", "steady.svg"])
  })

  for (const [name, svg] of Object.entries(drawn)) {
    describe(name, () => {
      test("has colours of the palette alone, each of which has another one on a dark page", () => {
        const used = new Set(Array.from(svg.matchAll(/ (?:fill|stroke)="([^"]*)"/g), ([, colour]) => colour))
        const known = new Set<string>([...Object.values(light), "none"])
        expect([...used].filter((colour) => !known.has(colour!))).toEqual([])
        for (const colour of Object.values(light)) expect(svg).toContain(`[fill="${colour}"]{fill:`)
      })

      test("tells its figures to those who do not see it", () => {
        expect(svg).toMatch(/<title>[^<]+<\/title>\n<desc>[^<]+<\/desc>/)
        expect(svg).not.toMatch(/NaN|undefined|Infinity/)
      })

      test("is the same to the byte when it is drawn again", () => {
        expect(drawings(results)[name]).toBe(svg)
      })
    })
  }
})

describe("colours", () => {
  for (const [page, palette] of Object.entries({ light, dark })) {
    test(`on a ${page} page text has a contrast of 4.5 to 1, and what else carries meaning of 3 to 1`, () => {
      const { page: background, grid: _, ...colours } = palette
      for (const [name, colour] of Object.entries(colours)) {
        const least = name === "ink" || name === "muted" ? 4.5 : 3
        expect({ name, contrast: contrast(colour, background) >= least }).toEqual({ name, contrast: true })
      }
    })
  }
})

/** WCAG 2.2, contrast ratio and relative luminance. */
function contrast(a: string, b: string): number {
  const [darker, lighter] = [luminance(a), luminance(b)].toSorted((x, y) => x - y)
  return (lighter! + 0.05) / (darker! + 0.05)
}

function luminance(colour: string): number {
  const [red, green, blue] = Array.from(colour.matchAll(/[0-9a-f]{2}/g), ([hex]) => {
    const value = Number.parseInt(hex, 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

describe("the table in front", () => {
  test("has the best of a line in bold, what manju is of the best other, and no yardstick in either", () => {
    const line = headline(results)
      .split("\n")
      .find((each) => each.startsWith("| pairs-10 "))
    expect(line).toBe("| pairs-10 | messages/s | **4.00 M** | 2.00x | 2.00 M | 1.00 M † | 5.00 M |")
  })

  test("says of a broker that loses messages that it does", () => {
    expect(headline(results)).toEndWith("† with messages lost or out of order")
  })

  test("the lowest latency is the best", () => {
    const line = headline(results)
      .split("\n")
      .find((each) => each.includes("| p99 ms |"))
    expect(line).toBe("|  | p99 ms | 2.00 | 2.00x | **1.00** | 4.00 † | 0.500 |")
  })

  test("the cell of a broker that was not asked is empty", () => {
    const few: Results = {
      ...results,
      latency: { ...results.latency!, outcomes: results.latency!.outcomes.slice(0, 1) },
    }
    expect(headline(few)).toContain("|  | p99 ms | **2.00** |  |  |  |  |")
  })
})

describe("README", () => {
  const readme =
    "# A\n<!-- figures: headline -->\nold\n<!-- /figures -->\n<!-- figures: details -->\n<!-- /figures -->\nB\n"

  test("gets its sections between the markers; the rest stays as it is", () => {
    const text = inserted(readme, { headline: "one", details: "two" })
    expect(text).toBe(
      "# A\n<!-- figures: headline -->\n\none\n\n<!-- /figures -->\n<!-- figures: details -->\n\ntwo\n\n<!-- /figures -->\nB\n",
    )
    expect(inserted(text, { headline: "one", details: "two" })).toBe(text)
  })

  test("without a marker is told, and not written", () => {
    expect(() => inserted("# A\n", { headline: "one" })).toThrow("<!-- figures: headline -->")
  })

  test("each part has the command that measures it again, and what it was measured with", () => {
    expect(sections(results).headline).toEndWith(
      "    bun run bench load --against peer\n\n<sub>manju 0.1.0, peer, lossy, relay; Bun 1.4.5; a processor, 2 cores, broker and load on one each, " +
        "4 GiB, Linux 6.1; 2026-01-02; medians of 3.</sub>",
    )
  })

  test("what has not been measured is not mentioned", () => {
    const { growth: _, ...rest } = results
    expect(sections(rest).details).not.toContain("growth.svg")
    expect(document({})).not.toContain("##")
  })
})

test("numbers are short", () => {
  expect([6_247_306, 999_999, 1000, 999.4, 41.2, 1, 0.069, 0].map(compact)).toEqual([
    "6.25 M",
    "1.00 M",
    "1.00 k",
    "999",
    "41.2",
    "1.00",
    "0.069",
    "0",
  ])
  expect([1_000_000, 1500, 100, 10, 2.5, 0].map(shortest)).toEqual(["1 M", "1.5 k", "100", "10", "2.5", "0"])
  expect([0, 16, 65_536, 1_048_576].map(bytes)).toEqual(["0 B", "16 B", "64 KiB", "1 MiB"])
})

function made(): Results {
  const labels = ["manju", "peer", "lossy", "relay"]
  const about = {
    room: "load",
    command: "bun run bench load --against peer",
    date: "2026-01-02T03:04:05.678Z",
    machine: { cpu: "a processor", cores: 2, kernel: "6.1", memoryBytes: 4 * 1024 ** 3 },
    pinned: true,
    versions: { bun: "1.4.5", brokers: labels.map((label, index) => ({ label, version: index === 0 ? "0.1.0" : "" })) },
    options: { rounds: 3 },
  }
  const traffic = (name: string, payloadBytes: number, rates: number[], p99: number[] = [2, 1, 4, 0.5]) => {
    const scenario = {
      kind: "throughput" as const,
      name,
      title: name,
      groups: 10,
      publishersPerGroup: 1,
      subscribersPerGroup: 1,
      qos: 0 as const,
      payloadBytes,
    }
    return labels.map((broker, index) => ({
      scenario,
      broker,
      round: 1,
      result: {
        kind: "traffic" as const,
        seconds: 1,
        messages: rates[index]!,
        messagesPerSecond: rates[index]!,
        payloadBytesPerSecond: rates[index]! * payloadBytes,
        brokerCpuPercent: 1,
        brokerCpuMicrosecondsPerMessage: 1,
        generatorCpuPercent: 1,
        generatorLatenessMilliseconds: 0,
        residentBytes: 1e7,
        peakResidentBytes: 1e7,
        latencyMilliseconds: { p50: p99[index]! / 2, p99: p99[index]!, p999: p99[index]! * 2, maximum: 10, samples: 1 },
        lost: broker === "lossy" ? 1 : 0,
        disordered: 0,
        corrupted: 0,
      },
    }))
  }
  const rates = [4e6, 2e6, 1e6, 5e6]
  const slow = rates.map((rate) => rate / 1000)
  const [one] = traffic("steady", 64, rates)
  const steady = {
    ...one!,
    result: {
      ...one!.result,
      kind: "steady" as const,
      maximumMessagesPerSecond: 8e6,
      visitsPerSecond: 10,
      generatorLongestLatenessMilliseconds: 1,
      firstResidentBytes: 1e7,
      residentBytesPerMinute: 10,
      samples: [10, 20, 30].map((seconds) => ({
        seconds,
        residentBytes: 1e7 + seconds,
        p50Milliseconds: 0.1,
        p99Milliseconds: 1,
        p999Milliseconds: 5,
        longestMilliseconds: 9,
      })),
    },
  }
  return {
    throughput: {
      ...about,
      outcomes: [...traffic("pairs-10", 64, rates), ...traffic("fanout-100", 64, rates)],
    },
    payload: {
      ...about,
      outcomes: [...traffic("pairs-10", 64, rates), ...traffic("pairs-10-64k", 65_536, slow)],
    },
    latency: { ...about, outcomes: traffic("latency-100", 64, [5000, 5000, 5000, 5000]).map((each) => each) },
    steady: { ...about, outcomes: [steady] } as unknown as NonNullable<Results["steady"]>,
    growth: {
      ...about,
      costs: [1, 1000].flatMap((entries) => {
        const common = {
          entries,
          round: 1,
          residentBytesPerEntry: entries > 1 ? 100 : undefined,
          heapBytesPerEntry: undefined,
        }
        const times = [
          "matchKnown",
          "matchFirst",
          "matchNone",
          "matchAfterChange",
          "publishKnown",
          "publishFirst",
          "subscribe",
          "unsubscribe",
        ]
        const nanoseconds = Object.fromEntries(times.map((name) => [`${name}Nanoseconds`, 100]))
        return (["exact", "plus"] as const).map((kind) => ({
          ...common,
          kind,
          ...nanoseconds,
          slowestSubscribeMilliseconds: 1,
        }))
      }),
    } as unknown as NonNullable<Results["growth"]>,
  }
}

/** What mqtt-stresser says is read, judged, and set beside other brokers. The outputs are as they were recorded. */
import { describe, expect, test } from "bun:test"
import { type Rates, readReport } from "../../scripts/bench/stresser/output.ts"
import {
  failures,
  judged,
  type Outcome,
  type Run,
  report,
  standing,
  summarized,
} from "../../scripts/bench/stresser/report.ts"

const whole = `10 worker started
..........
# Configuration
Concurrent Clients: 10
Messages / Client:  10000

# Results
Published Messages: 10000 (100%)
Received Messages:  10000 (100%)
Completed:          10 (100%)
Errors:             0 (0%)

# Publishing Throughput
Fastest: 232481 msg/sec
Slowest: 39025 msg/sec
Median: 55525 msg/sec

  < 58371 msg/sec  60%
  < 97062 msg/sec  80%
  < 193790 msg/sec  90%
  < 251827 msg/sec  100%

# Receiving Througput
Fastest: 309664 msg/sec
Slowest: 22277 msg/sec
Median: 56438 msg/sec

  < 51015 msg/sec  40%
  < 79754 msg/sec  80%
  < 223448 msg/sec  90%
  < 338403 msg/sec  100%
`

/** The last client did not get to the end in time. The tool calls that no error, and its exit code is 0. */
const cutShort = `3 worker started - waiting 700ms
4 worker started
Test timeout. Wait 5s to allow disconnection of clients.

# Configuration
Concurrent Clients: 4
Messages / Client:  200

# Results
Published Messages: 150 (75%)
Received Messages:  150 (100%)
Completed:          3 (75%)
Errors:             0 (0%)

# Publishing Throughput
Fastest: 80 msg/sec
Slowest: 70 msg/sec
Median: 80 msg/sec

  < 71 msg/sec  33%
  < 80 msg/sec  67%
  < 81 msg/sec  100%

# Receiving Througput
Fastest: 1221121 msg/sec
Slowest: 857 msg/sec
Median: 763685 msg/sec

  < 122884 msg/sec  33%
  < 855042 msg/sec  67%
  < 1343147 msg/sec  100%
`

/** The broker ended before the last client came. */
const refused = `3 worker started - waiting 2s
4 worker started
failed to unsubscribe: Not Connected

# Configuration
Concurrent Clients: 4
Messages / Client:  200

# Results
Published Messages: 150 (75%)
Received Messages:  150 (100%)
Completed:          3 (75%)
Errors:             1 (25%)
- ConnectFailed:      0 (0%)
- SubscribeFailed:    1 (100%)
- TimeoutExceeded:    0 (0%)
- Aborted:            0 (0%)

# Publishing Throughput
Fastest: 53112 msg/sec
Slowest: 51340 msg/sec
Median: 52422 msg/sec

  < 51517 msg/sec  33%
  < 52580 msg/sec  67%
  < 53289 msg/sec  100%

# Receiving Througput
Fastest: 36743 msg/sec
Slowest: 30784 msg/sec
Median: 30786 msg/sec

  < 31380 msg/sec  67%
  < 37339 msg/sec  100%
`

const nobody = `4 worker started
Test timeout. Wait 5s to allow disconnection of clients.
`

const cost = { brokerMilliseconds: 120, brokerWakeUps: 5000, toolMilliseconds: 340 }

describe("the output of mqtt-stresser", () => {
  test("is read: counts, and the rates of clients", () => {
    expect(readReport(whole)).toEqual({
      publishedMessages: 10_000,
      receivedMessages: 10_000,
      completedClients: 10,
      failedClients: {},
      publishing: { fastest: 232_481, slowest: 39_025, median: 55_525 },
      receiving: { fastest: 309_664, slowest: 22_277, median: 56_438 },
    })
  })

  test("names why clients failed", () => {
    expect(readReport(refused)?.failedClients).toEqual({ SubscribeFailed: 1 })
  })

  for (const [title, output] of [
    ["no client got a message", nobody],
    ["the tool was ended on its way", whole.slice(0, whole.indexOf("Median: 56438"))],
    ["a rate is no number", whole.replace("Median: 55525", "Median: NaN")],
  ] as const) {
    test(`is no report where ${title}`, () => expect(readReport(output)).toBeUndefined())
  }
})

describe("a report", () => {
  const run = { clients: 4, messages: 50 }

  test("is complete with every message of every client", () => {
    expect(judged({ clients: 10, messages: 1000 }, readReport(whole)!, cost).kind).toBe("complete")
  })

  test("is not, where fewer messages came than were to be sent", () => {
    expect(judged({ clients: 10, messages: 1001 }, readReport(whole)!, cost).kind).toBe("incomplete")
  })

  test("is not, where a client did not get to its end, though the tool counts no error", () => {
    expect(judged(run, readReport(cutShort)!, cost)).toMatchObject({
      kind: "incomplete",
      reason: "3 of 4 clients completed, 150 of 200 messages were received",
    })
  })

  test("is not, where a client failed, and says of what", () => {
    expect(judged(run, readReport(refused)!, cost)).toMatchObject({
      kind: "incomplete",
      reason: "3 of 4 clients completed, 150 of 200 messages were received, SubscribeFailed 1",
    })
  })
})

describe("of several brokers", () => {
  const few: Run = { clients: 4, messages: 2500 }
  const many: Run = { clients: 500, messages: 100 }
  const around = (median: number): Rates => ({ fastest: median * 2, slowest: median / 2, median })
  const complete = (
    run: Run,
    broker: string,
    round: number,
    [send, receive]: [number, number],
    brokerMilliseconds = cost.brokerMilliseconds,
  ): Outcome => {
    const messages = run.clients * run.messages
    const counts = { publishedMessages: messages, receivedMessages: messages, completedClients: run.clients }
    const rates = { publishing: around(send), receiving: around(receive) }
    return {
      run,
      broker,
      round,
      result: { kind: "complete", cost: { ...cost, brokerMilliseconds }, ...counts, failedClients: {}, ...rates },
    }
  }
  const incomplete = (run: Run, broker: string, round: number): Outcome => {
    return { run, broker, round, result: judged(run, readReport(refused)!, cost) }
  }
  const brokers = ["manju", "peer"]
  const outcomes = [
    complete(few, "manju", 1, [3000, 9000]),
    complete(few, "peer", 1, [4000, 2000], 500),
    incomplete(few, "peer", 2),
    complete(few, "manju", 2, [1000, 9000]),
    complete(few, "manju", 3, [5000, 6000]),
    incomplete(few, "peer", 3),
    complete(many, "manju", 1, [800, 700]),
    { run: many, broker: "peer", round: 1, result: { kind: "failed", reason: "it did not start" } } as const,
  ]

  test("the medians over complete rounds stand in a table for each run, the best in bold: the most, of CPU time the least", () => {
    expect(report(outcomes, brokers, { markdown: true })).toStartWith(`**4 clients x 2,500 messages**

| broker | rounds | SEND max | min | median | RECV max | min | median | broker CPU ms | wake-ups | tool CPU ms |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| manju | 3 | 6,000 | 1,500 | 3,000 | **18,000** | **4,500** | **9,000** | **120** | 5,000 | 340 |
| peer | 1 of 3 | **8,000** | **2,000** | **4,000** | 4,000 | 1,000 | 2,000 | 500 | 5,000 | 340 |

**500 clients x 100 messages**

| broker | rounds | SEND max | min | median | RECV max | min | median | broker CPU ms | wake-ups | tool CPU ms |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| manju | 1 | **1,600** | **400** | **800** | **1,400** | **350** | **700** | **120** | 5,000 | 340 |
| peer | 0 of 1 |  |  |  |  |  |  |  |  |  |
`)
  })

  test("it is said in how many cells the first has the highest median, and who is ahead in the others", () => {
    expect(standing(summarized(outcomes, brokers), brokers)).toBe(
      "manju's median is the highest in 3 of 4 cells. " +
        "Ahead of it: peer in SEND of 4 clients x 2,500 messages (4,000; manju 3,000).",
    )
    expect(standing(summarized(outcomes, ["peer", "manju"]), ["peer", "manju"])).toStartWith(
      "peer's median is the highest in 1 of 4 cells.",
    )
  })

  test("each round that does not count is told with its reason", () => {
    expect(failures(outcomes)).toEqual([
      "4 clients x 2,500 messages, peer, round 2: 3 of 4 clients completed, 150 of 10,000 messages were received, SubscribeFailed 1",
      "4 clients x 2,500 messages, peer, round 3: 3 of 4 clients completed, 150 of 10,000 messages were received, SubscribeFailed 1",
      "500 clients x 100 messages, peer, round 1: it did not start",
    ])
  })
})

/**
 * What mqtt-stresser prints when it ends, read back.
 *
 * It tells of each client's rate, and of all rates the fastest, the slowest and the median. Clients that did not get all of their messages
 * are counted, and their rates are left out. Its exit code is 0 whenever one client got a message, so what it prints has to be looked at.
 */

/** Messages a second of one client. */
export type Rates = { fastest: number; slowest: number; median: number }

export type Report = {
  publishedMessages: number
  receivedMessages: number
  /** Clients that got all of their messages. */
  completedClients: number
  /** Clients that didn't, by what the tool calls it: `{ TimeoutExceeded: 3 }`. */
  failedClients: Record<string, number>
  /** From a client's first PUBLISH until its last has been handed over, and it has said DISCONNECT. */
  publishing: Rates
  /** From then on until its last message has come. */
  receiving: Rates
}

/** Undefined where there is no summary: no client got a message, or the tool was ended. */
export function readReport(output: string): Report | undefined {
  const [results, publishing, receiving] = sectionsOf(output)
  if (results === undefined || publishing === undefined || receiving === undefined) return undefined
  const failed = Array.from(
    results.matchAll(/^- (\w+):\s+(\d+)/gm),
    ([, name, count]) => [name, Number(count)] as const,
  )
  const report = {
    publishedMessages: numberAfter(results, "Published Messages"),
    receivedMessages: numberAfter(results, "Received Messages"),
    completedClients: numberAfter(results, "Completed"),
    failedClients: Object.fromEntries(failed.filter(([, count]) => count > 0)),
    publishing: ratesOf(publishing),
    receiving: ratesOf(receiving),
  }
  const { failedClients: _, publishing: sent, receiving: received, ...counts } = report
  return [counts, sent, received].flatMap(Object.values<number>).every(Number.isFinite) ? report : undefined
}

/** Its own spelling is `Througput`. */
function sectionsOf(output: string): (string | undefined)[] {
  return ["Results", "Publishing Throug", "Receiving Throug"].map((title) => {
    return new RegExp(`^# ${title}.*\n([^#]*)`, "m").exec(output)?.[1]
  })
}

function ratesOf(section: string): Rates {
  const [fastest, slowest, median] = ["Fastest", "Slowest", "Median"].map((name) => numberAfter(section, name))
  return { fastest: fastest!, slowest: slowest!, median: median! }
}

/** NaN where there is none. */
function numberAfter(section: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(section)?.[1])
}

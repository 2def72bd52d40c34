/** What `/api/v1/live` sends: the data of each event. */
import * as v from "valibot"
import type { LiveEvents } from "../live.ts"
import { count, described, named, shownPayload, time } from "./schemas.ts"

const rate = (description = "A second, since the event before") =>
  described(v.pipe(v.number(), v.minValue(0)), description)

/** By the name of the event. */
export const liveEvents = {
  figures: named("LiveFigures", "`event: figures`, once a second.", () =>
    v.strictObject({
      time: time(),
      uptimeSeconds: count(),
      connections: count(),
      clients: count(),
      sessions: count(),
      subscriptions: count(),
      retainedMessages: count(),
      inflightMessages: count(),
      queuedMessages: count(),
      queuedBytes: count(),
      rates: v.strictObject({
        messagesReceived: rate(),
        messagesSent: rate(),
        bytesReceived: rate(),
        bytesSent: rate(),
        connects: rate(),
        connectsRefused: rate(),
        authFailures: rate(),
        dropped: rate(),
      }),
      dropped: described(v.record(v.string(), count()), "By reason, those that there have been since the broker began"),
      limitsHit: described(v.record(v.string(), count()), "By limit, likewise"),
      memory: v.strictObject({ residentBytes: count(), heapUsedBytes: count() }),
      eventLoopLagMs: rate("The longest that everything had to wait, since the event before"),
      store: v.optional(
        v.strictObject({
          isReady: v.boolean(),
          unstoredBytes: count(),
          bytesWritten: count(),
          commits: rate(),
          commitP50Ms: v.optional(v.number()),
          commitP99Ms: v.optional(v.number()),
        }),
      ),
    }),
  ),
  log: named("LiveLog", "`event: log`, once a second at most.", () =>
    v.strictObject({
      lines: v.array(
        v.strictObject({
          time: time(),
          level: v.picklist(["debug", "info", "warn", "error"]),
          message: v.string(),
          details: v.optional(described(v.unknown(), "Fields, where the broker gives any")),
        }),
      ),
      omitted: count("Lines that there was no room for"),
    }),
  ),
  topics: named("LiveTopics", "`event: topics`, once a second at most.", () =>
    v.strictObject({
      topics: v.array(
        v.strictObject({
          topic: v.string(),
          messages: count("How many, since the event before"),
          qos: described(v.number(), "Of the last one"),
          retain: v.boolean(),
          ...shownPayload(),
        }),
      ),
      omittedMessages: count("Over topics that there was no room for; others are chosen the next time"),
    }),
  ),
  clients: named("LiveClients", "`event: clients`, once a second.", () =>
    v.strictObject({
      clients: v.array(
        v.strictObject({
          clientId: v.string(),
          username: v.optional(v.string()),
          received: count("PUBLISH packets from it, since the event before"),
          sent: count(),
        }),
      ),
    }),
  ),
} satisfies { [name in keyof LiveEvents]: () => v.GenericSchema<LiveEvents[name]> }

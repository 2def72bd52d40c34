/** What `/api/v1/live` sends: the data of each event. */
import * as v from "valibot"
import { type LogArea, logAreas } from "../../broker/log/areas.ts"
import type { LiveEvents } from "../live.ts"
import { count, described, named, shownPayload, text, time } from "./schemas.ts"

const rate = (description = "A second, since the event before") =>
  described(v.pipe(v.number(), v.minValue(0)), description)

const areas = Object.keys(logAreas) as LogArea[]

const tracedMessage = named("TracedMessage", "What has become of a message.", () =>
  v.strictObject({
    time: time(),
    topic: v.string(),
    from: v.optional(
      text("Who has published it; none: the broker or its service, or of what is late: nobody knows any more"),
    ),
    qos: v.optional(described(v.picklist([0, 1, 2]), "As it came; none: it did not come in, or this is late")),
    retain: v.optional(v.boolean()),
    payloadBytes: v.optional(count()),
    refused: v.optional(text("Why it goes to nobody")),
    fates: v.array(
      v.strictObject({
        clientId: v.optional(text("Who should get it; none: nobody of the share group")),
        fate: described(
          v.picklist(["sent", "queued", "dropped", "skipped"]),
          "skipped: it is not for that one, although a subscription matches",
        ),
        reason: v.optional(text("Why it was dropped or skipped")),
        share: v.optional(text("The share group through which it came, by its filter")),
      }),
    ),
    moreReceivers: count("For whom there was no room among the fates"),
    isLate: v.optional(described(v.literal(true), "What has become of an earlier one")),
  }),
)

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
          details: v.strictObject({
            area: described(v.picklist(areas), "What the line is about"),
            clientId: v.exactOptional(v.string()),
            username: v.exactOptional(v.string()),
            remoteAddress: v.exactOptional(v.string()),
            listener: v.exactOptional(v.string()),
            reason: v.exactOptional(text("The name of an MQTT reason, or why a message was dropped")),
            topic: v.exactOptional(v.string()),
            omitted: v.exactOptional(count("How many lines have been left out, of which this one tells")),
          }),
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
  trace: named("LiveTrace", "`event: trace`, once a second at most, only where there is something to tell.", () =>
    v.strictObject({
      messages: v.array(tracedMessage()),
      omitted: count("Messages that there was no room for"),
    }),
  ),
} satisfies { [name in keyof LiveEvents]: () => v.GenericSchema<LiveEvents[name]> }

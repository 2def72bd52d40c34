/**
 * What the admin API takes and gives. Times are milliseconds since 1970, durations have their unit in their name.
 *
 * Each is made when it is needed first: what is given is only looked up to describe it.
 */
import * as v from "valibot"
import { type LimitName, limitDefinitions } from "../../broker/limits.ts"
import { type LogArea, logAreas, logLevels } from "../../broker/log/areas.ts"
import { once } from "./route.ts"

/** Those that have a name in the description. */
export const components = new Map<string, () => v.GenericSchema>()

/** A part of the description of its own, under that name. */
export function named<Schema extends v.GenericSchema>(
  id: string,
  description: string,
  make: () => Schema,
): () => Schema {
  const schema = once(() => described(make(), description))
  components.set(id, schema)
  return schema
}

/** The schema with what there is to say of it. */
export function described<Schema extends v.GenericSchema>(schema: Schema, description: string): Schema {
  return v.pipe(schema, v.description(description)) as unknown as Schema
}

export function wholeNumber(minimum: number, maximum?: number) {
  const whole = v.pipe(v.number(), v.integer(), v.minValue(minimum))
  return maximum === undefined ? whole : v.pipe(whole, v.maxValue(maximum))
}

export const count = (description?: string) => {
  const schema = wholeNumber(0)
  return description === undefined ? schema : described(schema, description)
}
export const text = (description?: string) =>
  description === undefined ? v.string() : described(v.string(), description)
export const time = (description = "Milliseconds since 1970") => described(v.number(), description)
const qos = () => v.picklist([0, 1, 2])
const base64 = (description?: string) => {
  const schema = v.pipe(v.string(), v.base64())
  return description === undefined ? schema : described(schema, description)
}

/** Where a list goes on. */
export const pageQuery = () => ({
  limit: v.optional(described(wholeNumber(1, 1000), "How many items at most"), 100),
  cursor: v.optional(text("`next` of the page before; none: from the beginning")),
})

export function pageOf<Item extends v.GenericSchema>(item: () => Item) {
  return () =>
    v.strictObject({
      items: v.array(item()),
      total: count("How many there are in the whole list"),
      next: v.optional(text("The cursor of the next page; none: this is the last")),
    })
}

export const problem = named("Problem", "What has gone wrong, as in RFC 9457.", () =>
  v.strictObject({
    type: text("What kind of problem it is: `urn:manju:` and a name"),
    title: text("The same for people"),
    status: count(),
    detail: text("What is wrong this time, and what to do"),
    errors: v.optional(
      described(
        v.array(v.strictObject({ name: text("A parameter, or the path of a field"), detail: v.string() })),
        "Which parts of the request make no sense",
      ),
    ),
  }),
)

const clientEntries = () => ({
  clientId: v.string(),
  username: v.optional(v.string()),
  remoteAddress: v.string(),
  listener: text("The id of the listener it came through"),
  protocol: v.picklist(["3.1", "3.1.1", "5.0"]),
  connectedAt: time(),
  cleanStart: v.boolean(),
  keepAliveSeconds: count("0: none"),
  sessionExpirySeconds: count("4294967295: never"),
  inflightMessages: count(),
  queuedMessages: count(),
  backlogBytes: count("What waits for its socket"),
  bytesReceived: count("From the client"),
  bytesSent: count(),
  messagesReceived: count("PUBLISH packets from the client"),
  messagesSent: count(),
})

export const client = named("Client", "A client that is connected.", () =>
  v.strictObject({ ...clientEntries(), subscriptions: count() }),
)

const subscriptionOptions = () => ({
  topicFilter: v.string(),
  qos: qos(),
  noLocal: v.boolean(),
  retainAsPublished: v.boolean(),
  retainHandling: v.picklist([0, 1, 2]),
})

export const clientDetails = named("ClientDetails", "A client that is connected, and what it is subscribed to.", () =>
  v.strictObject({ ...clientEntries(), subscriptions: v.array(v.strictObject(subscriptionOptions())) }),
)

export const session = named("Session", "What outlives a client's connections.", () =>
  v.strictObject({
    clientId: v.string(),
    username: v.optional(v.string()),
    isConnected: v.boolean(),
    expirySeconds: count("How long it lives without a connection; 4294967295: for ever"),
    disconnectedAt: v.optional(time()),
    expiresAt: v.optional(time()),
    subscriptions: count(),
    inflightMessages: count(),
    queuedMessages: count(),
    queuedBytes: count(),
    willTopic: v.optional(text("Where its will goes, if it still has one")),
  }),
)

export const subscription = named("Subscription", "What a client is subscribed to.", () =>
  v.strictObject({
    clientId: v.string(),
    isConnected: v.boolean(),
    ...subscriptionOptions(),
    identifier: v.optional(count("Its Subscription Identifier")),
  }),
)

const properties = () =>
  v.strictObject({
    payloadFormatIndicator: v.optional(described(v.boolean(), "The payload is UTF-8 text")),
    messageExpirySeconds: v.optional(wholeNumber(0, 0xffff_ffff)),
    contentType: v.optional(v.string()),
    responseTopic: v.optional(v.string()),
    correlationDataBase64: v.optional(base64()),
    userProperties: v.optional(v.array(v.strictTuple([v.string(), v.string()]))),
  })

export const shownPayload = () => ({
  payloadBytes: count("How long it is, all of it"),
  payload: v.optional(text("As text, where it is UTF-8")),
  payloadBase64: v.optional(base64("Where it is not")),
  isTruncated: v.optional(described(v.literal(true), "There is more of it")),
})

export const retainedMessage = named("RetainedMessage", "The message that is retained for a topic.", () =>
  v.strictObject({
    topic: v.string(),
    qos: qos(),
    ...shownPayload(),
    properties: v.optional(described(properties(), "MQTT 5 properties; the expiry is what is left of it")),
  }),
)

export const publication = named(
  "Publication",
  "A message to publish: one of `payload`, `payloadBase64` and `json`, or none for an empty payload.",
  () =>
    v.pipe(
      v.strictObject({
        topic: text("A topic name, not below `$SYS`"),
        payload: v.optional(text("Text, sent as UTF-8")),
        payloadBase64: v.optional(base64("Bytes")),
        json: v.optional(described(v.unknown(), "Any value, sent as JSON")),
        qos: v.optional(qos(), 0),
        retain: v.optional(v.boolean(), false),
        properties: v.optional(properties()),
      }),
      v.check(
        ({ payload, payloadBase64, json }) =>
          [payload, payloadBase64, json].filter((one) => one !== undefined).length < 2,
        "takes one of payload, payloadBase64 and json",
      ),
    ),
)

const limit = (name: LimitName) => {
  const { minimum, maximum, help, takesHold } = limitDefinitions[name]
  const holds = { now: "at once", "next connection": "from a client's next connection on", restart: "after a restart" }
  return described(wholeNumber(minimum, maximum), `${help}. A change holds ${holds[takesHold]}.`)
}
const limitNames = Object.keys(limitDefinitions) as [LimitName, ...LimitName[]]
const limitEntries = () =>
  Object.fromEntries(limitNames.map((name) => [name, limit(name)])) as Record<LimitName, ReturnType<typeof limit>>

export const limits = named("Limits", "The bounds of the broker.", () => v.strictObject(limitEntries()))
export const someLimits = named("SomeLimits", "Limits to change.", () => v.partial(v.strictObject(limitEntries())))
export const limitsReport = named("LimitsReport", "What has become of a change of limits.", () =>
  v.strictObject({
    changed: v.array(v.picklist(limitNames)),
    fromNextConnection: described(
      v.array(v.picklist(limitNames)),
      "Of those, the ones that hold for a client from its next connection on",
    ),
    needRestart: described(
      v.array(v.picklist(limitNames)),
      "Those that are as they were, because only a start can change them",
    ),
  }),
)

export const listener = named("Listener", "A listener that is open.", () =>
  v.strictObject({
    id: v.string(),
    hostname: text("Of a Unix socket its path"),
    port: count("Of a Unix socket 0"),
    connections: v.optional(count("MQTT connections through it; none: it lets none in")),
    limits: v.optional(
      described(
        v.strictObject({
          maximumConnections: count(),
          protocolLevels: described(v.array(v.picklist([3, 4, 5])), "3: MQTT 3.1, 4: 3.1.1, 5: 5.0"),
          maximumQoS: qos(),
          retainAvailable: v.boolean(),
          wildcardSubscriptionAvailable: v.boolean(),
          sharedSubscriptionAvailable: v.boolean(),
          topicAliasMaximum: count(),
          outgoingTopicAliasMaximum: count(),
          assignClientIds: v.boolean(),
          assignedClientIdPrefix: v.string(),
          responseInformation: v.string(),
          mountPoint: v.string(),
        }),
        "What its clients are offered",
      ),
    ),
  }),
)

export const logLevel = named(
  "LogLevel",
  "Which lines the log keeps: those of the level, and more important ones.",
  () =>
    v.strictObject({
      level: v.picklist(logLevels),
      areas: v.optional(
        described(
          v.strictObject(
            Object.fromEntries(
              Object.entries(logAreas).map(([name, help]) => [
                name,
                v.exactOptional(described(v.picklist(logLevels), `Lines on ${help}`)),
              ]),
            ) as Record<LogArea, v.ExactOptionalSchema<v.PicklistSchema<typeof logLevels, undefined>, undefined>>,
          ),
          "Levels of areas that have another",
        ),
        {},
      ),
    }),
)

export const reloadReport = named("ReloadReport", "What a reload has found.", () =>
  v.strictObject({
    changed: described(v.array(v.string()), "Keys of the configuration that have changed, and hold now"),
    needRestart: described(v.array(v.string()), "Keys that have changed, and hold after a restart"),
  }),
)

const byQoS = () => described(v.strictTuple([count(), count(), count()]), "QoS 0, 1, 2")
const histogram = named("Histogram", "How often something has taken how long.", () =>
  v.strictObject({
    buckets: v.array(v.strictObject({ atMostSeconds: v.number(), count: count() })),
    count: count(),
    sumSeconds: v.number(),
  }),
)

export const metrics = named("Metrics", "The broker's figures. Counts are of this run, and only grow.", () =>
  v.strictObject({
    version: v.string(),
    time: time(),
    startedAt: time(),
    connections: count(),
    clients: count(),
    sessions: count(),
    subscriptions: count(),
    sharedSubscriptions: count(),
    retainedMessages: count(),
    inflightMessages: count(),
    queuedMessages: count(),
    queuedBytes: count(),
    messagesReceived: byQoS(),
    messagesSent: byQoS(),
    payloadBytesReceived: byQoS(),
    payloadBytesSent: byQoS(),
    packetsReceived: count(),
    packetsSent: count(),
    bytesReceived: count(),
    bytesSent: count(),
    connectionsAccepted: count(),
    connectsReceived: count(),
    connectsRefused: count(),
    authFailures: count(),
    adminAuthFailures: count(),
    sessionsExpired: count(),
    hooksFailed: count(),
    dropped: described(v.record(v.string(), count()), "By reason"),
    limitsHit: described(v.record(v.string(), count()), "By limit"),
    store: v.optional(
      v.strictObject({
        isReady: v.boolean(),
        commits: count(),
        failures: count(),
        bytesWritten: count("In all runs, where the store knows"),
        unstoredBytes: count(),
        commitTimes: histogram(),
      }),
    ),
    eventLoopLag: histogram(),
    memory: v.strictObject({
      residentBytes: count(),
      heapTotalBytes: count(),
      heapUsedBytes: count(),
      externalBytes: count(),
    }),
  }),
)

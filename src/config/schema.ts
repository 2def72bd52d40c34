/**
 * The configuration: every key that there is, with what it takes, what it is for and its default. The file, the environment, the flags and
 * their help, the example, the JSON Schema and the types all come from here; the limits come from the broker's own table.
 *
 * Keys are called as the API's options, which say more of each. What belongs together but stands in several places, or hangs on other
 * values, is checked in `conflicts.ts`; defaults that do are in `complete.ts`.
 */
import * as v from "valibot"
import type { HttpAuthOptions } from "../auth/http.ts"
import type { JwtOptions } from "../auth/jwt.ts"
import { knownAlgorithms } from "../auth/keys.ts"
import { type LimitName, type ListenerLimits, limitDefinitions, listenerDefaults } from "../broker/limits.ts"
import { type LogArea, logAreas, logLevels } from "../broker/log/areas.ts"
import type { ProtocolLevel } from "../codec/index.ts"
import {
  described,
  file,
  name,
  nameOrNames,
  names,
  oneOf,
  pattern,
  pem,
  secrets,
  someOf,
  text,
  wholeNumber,
  yesOrNo,
} from "./fields.ts"

const optional = v.exactOptional // taken out of it by name it would keep all of the library in a bundle

/** MQTT's versions by their names. */
export const protocolLevels = { "3.1": 3, "3.1.1": 4, "5": 5 } as const satisfies Record<string, ProtocolLevel>
type VersionName = keyof typeof protocolLevels
const versionNames = Object.keys(protocolLevels).sort() as [VersionName, ...VersionName[]]

function limitField({ default: standard, minimum, maximum, help }: (typeof limitDefinitions)[LimitName]) {
  return optional(wholeNumber(minimum, maximum, help), standard)
}

const limits = Object.fromEntries(
  Object.entries(limitDefinitions).map(([name, definition]) => [name, limitField(definition)]),
) as Record<LimitName, ReturnType<typeof limitField>>

const listenerLimits = {
  maximumConnections: optional(
    wholeNumber(1, Number.MAX_SAFE_INTEGER, "connections at once through this listener; default: as of all", {
      example: 1000,
    }),
  ),
  protocolLevels: optional(
    someOf(versionNames, "a list of 3.1, 3.1.1 and 5", "MQTT versions to serve"),
    versionNames.filter((name) => listenerDefaults.protocolLevels.includes(protocolLevels[name])),
  ),
  maximumQoS: optional(wholeNumber(0, 2, "highest QoS"), listenerDefaults.maximumQoS),
  retainAvailable: optional(yesOrNo("retained messages"), listenerDefaults.retainAvailable),
  wildcardSubscriptionAvailable: optional(
    yesOrNo("wildcard subscriptions"),
    listenerDefaults.wildcardSubscriptionAvailable,
  ),
  sharedSubscriptionAvailable: optional(yesOrNo("shared subscriptions"), listenerDefaults.sharedSubscriptionAvailable),
  topicAliasMaximum: optional(
    wholeNumber(0, 65_535, "topic aliases that a client may set"),
    listenerDefaults.topicAliasMaximum,
  ),
  outgoingTopicAliasMaximum: optional(
    wholeNumber(0, 65_535, "topic aliases set for a client"),
    listenerDefaults.outgoingTopicAliasMaximum,
  ),
  assignClientIds: optional(yesOrNo("whether a client without an id is given one"), listenerDefaults.assignClientIds),
  assignedClientIdPrefix: optional(
    text("what assigned client ids begin with"),
    listenerDefaults.assignedClientIdPrefix,
  ),
  responseInformation: optional(
    text("Response Information for clients that ask for it; %c is the client id"),
    listenerDefaults.responseInformation,
  ),
  mountPoint: optional(
    pattern(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: a topic has none
      /^([^+#\u0000]*\/)?$/,
      "a topic prefix without wildcards that ends in /",
      "prefix before all topics, which clients don't see",
    ),
    listenerDefaults.mountPoint,
  ),
} satisfies Record<keyof ListenerLimits, v.GenericSchema>

const tls = v.strictObject({
  cert: pem("the certificate, and those between it and the root", "server.crt"),
  key: pem("its private key", "server.key"),
  ca: optional(pem("clients have to show a certificate signed by it", "ca.crt")),
  passphrase: optional(name("of an encrypted key", { isSecret: true, example: "open sesame" })),
})

const jwt = v.strictObject({
  secret: optional(
    name("what both sides know, for HS256 (from 32 bytes), HS384 (48), HS512 (64)", {
      isSecret: true,
      example: "at least thirty-two bytes, random",
    }),
  ),
  key: optional(pem("the issuer's public key, or certificate", "issuer.pem")),
  jwks: optional(file("a JSON Web Key Set", "keys.json")),
  algorithms: optional(
    someOf(
      [...knownAlgorithms],
      `a list of ${[...knownAlgorithms].join(", ")}`,
      "what a token may be signed with; default: all that the keys are good for",
      { example: ["ES256"] },
    ),
  ),
  issuer: optional(
    nameOrNames("the iss that a token must have, or one of several", { example: "https://login.example.com/" }),
  ),
  audience: optional(nameOrNames("the aud that a token must be for, or one of several", { example: "mqtt" })),
  clockToleranceSeconds: optional(wholeNumber(0, 3600, "how far the issuer's clock may be off"), 0),
  requireExpiry: optional(yesOrNo("whether a token without exp is refused"), true),
  usernameClaim: optional(name("the claim that names the user"), "sub"),
  usernameMustMatch: optional(yesOrNo("whether a CONNECT with another user name is refused"), false),
  clientIdClaim: optional(
    name("the claim that must be the client id; default: a token is good for any", { example: "client_id" }),
  ),
  publishClaim: optional(name("the claim with the topic filters to publish to"), "publish"),
  subscribeClaim: optional(name("the claim with the topic filters to subscribe to"), "subscribe"),
  aclClaim: optional(name("the claim with rules as EMQX has them"), "acl"),
} satisfies Record<keyof JwtOptions, v.GenericSchema>)

const http = v.strictObject({
  url: name(
    "where questions are sent by POST",
    { example: "http://127.0.0.1:9000/mqtt" },
    "an address that begins with http:// or https://",
  ),
  headers: optional(secrets("sent with each question", { authorization: "Bearer …" })),
  timeoutMs: optional(wholeNumber(1, 60_000, "how long an answer may take, milliseconds"), 5000),
  authorize: optional(
    described(
      v.union(
        [v.boolean(), v.array(v.picklist(["publish", "subscribe", "receive"]))],
        "true, false, or a list of publish, subscribe and receive",
      ),
      "what is asked on topics; true: before a client publishes or subscribes",
    ),
    true,
  ),
  cacheSeconds: optional(wholeNumber(0, 86_400, "how long an answer on a topic holds; 0: it is asked each time"), 60),
  cacheEntries: optional(wholeNumber(1, 1_000_000, "how many answers are kept"), 10_000),
  requestsAtOnce: optional(wholeNumber(1, 1000, "how many questions are under way at once"), 32),
} satisfies Record<keyof HttpAuthOptions, v.GenericSchema>)

const auth = v.strictObject({
  allowAnonymous: optional(
    yesOrNo(
      "let in who names no user (with none of passwords, jwt, http and acl: everybody), on any address; default: only on loopback",
      { example: true },
    ),
  ),
  passwords: optional(file("users and their passwords, of manju passwd or mosquitto_passwd", "users.txt")),
  verificationsAtOnce: optional(wholeNumber(1, 64, "how many passwords are verified at once, each on a thread"), 2),
  acl: optional(
    file(
      "who may do what with which topics, in Mosquitto's syntax; where nothing proves names anybody can take any user's name, so then on loopback only",
      "acl.txt",
    ),
  ),
  jwt: optional(described(jwt, "JSON Web Tokens as passwords: takes one of secret, key and jwks")),
  http: optional(described(http, "a web service that is asked who may come in, and what for")),
})

const door = {
  path: optional(
    pattern(/^\//, "a path that begins with /", "the path of the URL; default: any", { example: "/mqtt" }),
  ),
  origins: optional(
    names(
      "a list of origins such as https://app.example.com",
      "origins of web pages that may connect; default: those from the same IP address or localhost, whatever the port",
      { example: ["https://app.example.com"] },
    ),
  ),
}

const mqtt = {
  auth: optional(described(auth, "who may connect and do what; default: as auth at the top")),
  limits: optional(described(v.strictObject(listenerLimits), "what clients are offered"), {}),
}

const named = (example: string) => ({ id: optional(name("under which it appears in logs and to auth", { example })) })

const place = (standard: string, example: number) => ({
  hostname: optional(name("address to listen on"), "127.0.0.1"),
  port: optional(wholeNumber(0, 65_535, `0 takes a free one; default: ${standard}`, { example })),
  tls: optional(described(tls, "speak TLS")),
})

/** By type, in the order in which listeners are opened. */
export const listenerSchemas = {
  tcp: v.strictObject({
    type: described(v.literal("tcp"), "MQTT over TCP, or over TLS"),
    ...named("devices"),
    ...place("1883, with tls 8883", 1883),
    usernameFrom: optional(
      oneOf(
        ["commonName", "subjectAltName"],
        "a client's user name is its certificate's common name, or subject alternative name, whatever it says itself",
        { example: "commonName" },
      ),
    ),
    proxy: optional(
      described(
        v.strictObject({
          trusted: names("a list of addresses and networks such as 10.0.0.0/8", "who may speak for others", {
            example: ["10.0.0.0/8"],
          }),
        }),
        "take a client's address from the PROXY protocol; not with tls",
      ),
    ),
    ...mqtt,
  }),
  unix: v.strictObject({
    type: described(v.literal("unix"), "MQTT over a Unix domain socket"),
    ...named("local"),
    path: file("where the socket is made", "/run/manju.sock"),
    mode: optional(
      pattern(/^0?[0-7]{3}$/, 'an octal number as text, such as "660"', "who may open it, as in chmod"),
      "660",
    ),
    ...mqtt,
  }),
  websocket: v.strictObject({
    type: described(v.literal("websocket"), "MQTT over WebSocket"),
    ...named("pages"),
    ...place("1882, with tls 8884", 1882),
    ...door,
    ...mqtt,
  }),
  http: v.strictObject({
    type: described(v.literal("http"), "the dashboard, its API, metrics and health checks"),
    ...named("operator"),
    ...place("8080", 8080),
    admin: optional(yesOrNo("the dashboard, its API and metrics; false: health checks alone"), true),
    websocket: optional(described(v.strictObject({ ...door, ...mqtt }), "MQTT over WebSocket on the same port")),
  }),
}

const { tcp, unix, websocket, http: web } = listenerSchemas
export const listenerTypes = ["tcp", "unix", "websocket", "http"] as const satisfies ListenerType[]
export const listenerType = oneOf(listenerTypes, "what listens there")

const admin = v.strictObject({
  token: optional(
    pattern(
      /^[\x21-\x7e]{16,}$/,
      "at least 16 printable characters without spaces",
      "sent as Authorization: Bearer …",
      { isSecret: true, example: "openssl-rand-hex-16-makes-one" },
    ),
  ),
  user: optional(pattern(/^[^:]+$/, "a name without a colon", "who has the password"), "admin"),
  password: optional(name("sent as HTTP Basic: what a browser asks its user for", { isSecret: true, example: "…" })),
  metrics: optional(
    yesOrNo("who may read /metrics; true: everybody, false: nobody; default: who may use the admin API", {
      example: true,
    }),
  ),
})

const areas = Object.fromEntries(
  Object.entries(logAreas).map(([name, help]) => [name, optional(oneOf(logLevels, help, { example: "debug" }))]),
) as Record<LogArea, v.ExactOptionalSchema<v.PicklistSchema<typeof logLevels, string>, undefined>>

export const configSchema = v.strictObject({
  data: optional(file("database for sessions and retained messages; made if it is not there", "manju.db")),
  durability: optional(
    oneOf(["power", "process"], "what a commit survives: power cuts, or only the end of the process"),
    "power",
  ),
  validatePayloadFormat: optional(yesOrNo("refuse payloads that claim to be UTF-8 and are not"), false),
  logLevel: optional(oneOf(logLevels, "least important lines to print"), "info"),
  logFormat: optional(
    oneOf(["auto", "human", "json"], "lines for people, or a line of JSON for each; auto: for people at a terminal"),
    "auto",
  ),
  logAreas: optional(described(v.strictObject(areas), "levels of areas of the log that have one of their own"), {}),
  stopTimeoutSeconds: optional(
    wholeNumber(0, 3600, "how long a broker that stops waits for its clients and its database, seconds"),
    5,
  ),
  limits: optional(described(v.strictObject(limits), "bounds of everything"), {}),
  auth: optional(described(auth, "who may connect and do what, at listeners that do not say that themselves"), {}),
  admin: optional(described(admin, "who may administer the broker over HTTP; default: this machine"), {}),
  listeners: optional(
    described(
      v.array(
        v.variant("type", [tcp, unix, websocket, web], `a table with a type, ${listenerType.message}`),
        "a list of tables, each with a type",
      ),
      "where to listen; default: tcp, websocket and http, on loopback",
    ),
  ),
})

/** The configuration with all defaults. */
export type Config = v.InferOutput<typeof configSchema> & { listeners: readonly ListenerConfig[] }
export type ListenerConfig = v.InferOutput<(typeof listenerSchemas)[ListenerType]>
export type ListenerType = keyof typeof listenerSchemas
export type AuthConfig = v.InferOutput<typeof auth>

/** Every directive of Mosquitto's: the keys that it sets, or why it sets none. */
import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { definitionOf, directiveNames } from "../../src/cli/import/directives.ts"
import { imported } from "../support/imported.ts"

const MANUAL = "/usr/share/man/man5/mosquitto.conf.5.gz"
/** So that a listener is opened, and somebody may come in. */
const open = (...lines: string[]) => ["listener 1883 127.0.0.1", "allow_anonymous true", ...lines].join("\n")

/** With TLS, and clients that have to show a certificate. */
const tls = ["certfile /c.pem", "keyfile /k.pem", "cafile /ca.pem", "require_certificate true"]

describe("sets a key:", () => {
  const ofBroker: [line: string, values: object][] = [
    ["global_max_clients 500", { limits: { maximumSessions: 500 } }],
    ["global_max_connections 50", { limits: { maximumConnections: 50 } }],
    ["log_type error", { logLevel: "error" }],
    ["log_dest none", { logLevel: "silent" }],
    ["max_inflight_messages 20", { limits: { maximumInflight: 20, receiveMaximum: 20 } }],
    ["max_inflight_messages 0", { limits: { maximumInflight: 65_535, receiveMaximum: 65_535 } }],
    ["max_keepalive 120", { limits: { maximumKeepAliveSeconds: 120 } }],
    ["max_packet_size 70000", { limits: { maximumPacketBytes: 70_000 } }],
    ["max_packet_size 20", { limits: { maximumPacketBytes: 64 } }],
    ["max_packet_size 0", { limits: { maximumPacketBytes: 268_435_460 } }],
    ["message_size_limit 1000", { limits: { maximumPacketBytes: 66_544 } }],
    ["max_queued_bytes 4096", { limits: { maximumQueuedBytes: 4096 } }],
    ["max_queued_messages 7", { limits: { maximumQueuedMessages: 7 } }],
    ["max_queued_messages 0", { limits: { maximumQueuedMessages: Number.MAX_SAFE_INTEGER } }],
    ["persistence true", { data: "manju.db" }],
    ["retained_persistence 1", { data: "manju.db" }],
    ["persistent_client_expiration 12h", { limits: { maximumSessionExpirySeconds: 43_200 } }],
    ["persistent_client_expiration 14d", { limits: { maximumSessionExpirySeconds: 1_209_600 } }],
    ["persistent_client_expiration 3w", { limits: { maximumSessionExpirySeconds: 1_814_400 } }],
    ["persistent_client_expiration 2m", { limits: { maximumSessionExpirySeconds: 5_184_000 } }],
    ["persistent_client_expiration 1y", { limits: { maximumSessionExpirySeconds: 31_536_000 } }],
    ["persistent_client_expiration 999y", { limits: { maximumSessionExpirySeconds: 0xffff_ffff } }],
    ["sys_interval 0", { limits: { sysIntervalSeconds: 0 } }],
    ["sys_interval 90000", { limits: { sysIntervalSeconds: 86_400 } }],
  ]
  test.each(ofBroker)("%s", async (line, values) => {
    const result = await imported(open(line))
    expect(result.values).toMatchObject(values)
    expect(result.left).toEqual([])
    expect(result.text).toContain(`mosquitto.conf:3: ${line}\n`)
  })

  const ofListener: [line: string, values: object][] = [
    ["accept_protocol_versions 3, 4", { limits: { protocolLevels: ["3.1", "3.1.1"] } }],
    ["allow_zero_length_clientid false", { limits: { assignClientIds: false } }],
    ["auto_id_prefix auto-", { limits: { assignedClientIdPrefix: "auto-" } }],
    ["listener_auto_id_prefix x", { limits: { assignedClientIdPrefix: "x" } }],
    ["max_connections 10", { limits: { maximumConnections: 10 } }],
    ["max_qos 1", { limits: { maximumQoS: 1 } }],
    ["maximum_qos 0", { limits: { maximumQoS: 0 } }],
    ["max_topic_alias 10", { limits: { topicAliasMaximum: 10 } }],
    ["max_topic_alias_broker 11", { limits: { outgoingTopicAliasMaximum: 11 } }],
    ["mount_point one house/", { limits: { mountPoint: "one house/" } }],
    ["retain_available false", { limits: { retainAvailable: false } }],
    ["protocol websockets", { type: "websocket", origins: ["*"] }],
    ["protocol mqtt", { type: "tcp" }],
    ["acl_file /acl", { auth: { acl: "/acl" } }],
    ["password_file /users", { auth: { passwords: "/users", allowAnonymous: true } }],
  ]
  test.each(ofListener)("%s", async (line, values) => {
    const result = await imported(open(line))
    const [listener] = result.values.listeners
    expect({ auth: result.values.auth, ...listener }).toMatchObject(values)
    expect(result.left).toEqual([])
    expect(result.text).toContain(`mosquitto.conf:3: ${line}\n`)
  })

  test("websockets_origin", async () => {
    const { values } = await imported(
      open("protocol websockets", "websockets_origin https://a", "websockets_origin https://b"),
    )
    expect(values.listeners[0]).toMatchObject({ origins: ["https://a", "https://b"] })
  })

  test("certfile, keyfile, cafile, require_certificate and use_identity_as_username together", async () => {
    const { values, left } = await imported(open(...tls, "use_identity_as_username true", "password_file /users"))
    const keys = { cert: "/c.pem", key: "/k.pem", ca: "/ca.pem" }
    expect(values.listeners[0]).toMatchObject({ tls: keys, usernameFrom: "commonName" })
    expect(values.auth).not.toHaveProperty("passwords")
    expect(left).toContainEqual({
      said: "password_file /users",
      kind: "needless",
      why: "users are called by their certificates",
    })
  })
})

describe("sets none, and nothing is missing:", () => {
  const lines = [
    ...[
      "allow_duplicate_messages true",
      "autosave_interval 60",
      "autosave_on_changes true",
      "check_retain_source false",
    ],
    ...[
      "connection_messages true",
      "dhparamfile /dh",
      "disable_client_cert_date_checks false",
      "enable_control_api false",
    ],
    ...["log_dest stderr", "log_facility 5", "log_timestamp true", "log_timestamp_format %Y", "log_type websockets"],
    ...["max_inflight_bytes 0", "memory_limit 0", "packet_buffer_size 4096", "packet_max_simple 10000"],
    ...["persistence false", "persistence_file x.db", "persistence_location /var/lib/x/", "pid_file /run/x.pid"],
    ...["proxy_protocol_v2_require_tls false", "psk_file /psk", "queue_qos0_messages false", "retry_interval 20"],
    ...["set_tcp_nodelay true", "set_tcp_nodelay false", "socket_domain ipv4", "tls_engine_kpass_sha1 00"],
    ...["tls_keyform pem", "tls_version tlsv1.2", "upgrade_outgoing_qos false", "use_username_as_clientid false"],
    ...["user mosquitto", "websockets_headers_size 4096", "websockets_log_level 255", "websockets_origin https://a"],
    ...[
      "crlfile /crl",
      "capath /certs",
      "cafile /ca.pem",
      "require_certificate false",
      "use_identity_as_username true",
    ],
    ...["use_subject_as_username true"],
  ]
  test.each(lines)("%s", async (line) => {
    const { left, values } = await imported(open(line))
    expect(left).toEqual([{ said: line, kind: "needless", why: expect.stringMatching(/\w/) }])
    expect(values.auth.allowAnonymous).toBe(true)
  })
})

describe("sets none, and something is missing:", () => {
  const lines = [
    ...[
      "check_retain_source true",
      "ciphers ECDHE",
      "ciphers_tls1.3 TLS_AES_128_GCM_SHA256",
      "connection_messages false",
    ],
    ...[
      "enable_control_api true",
      "http_dir /srv/www",
      "log_dest file /var/log/x",
      "log_dest syslog",
      "log_dest topic",
    ],
    ...["log_dest stdout", "log_dest dlt", "max_connections -1", "max_queued_bytes 0", "global_max_clients -1"],
    ...[
      "global_max_connections -1",
      "max_inflight_bytes 10",
      "memory_limit 1000000",
      "packet_max_auth 1",
      "packet_max_connect 1",
    ],
    ...["packet_max_sub 1", "packet_max_un_sub 1", "plugin_load x /x.so", "auth_plugin_deny_special_chars true"],
    ...["queue_qos0_messages true", "retain_expiry_interval 60", "tls_version tlsv1.3", "upgrade_outgoing_qos true"],
  ]
  test.each(lines)("%s", async (line) => {
    const { left, values } = await imported(open(line))
    expect(left).toEqual([{ said: line, kind: "lost", why: expect.stringMatching(/\w/) }])
    expect(values.auth.allowAnonymous).toBe(true)
  })

  const ofBridges = [
    ...[
      "connection up",
      "address example.com:1883",
      "addresses a b",
      "topic # both 0",
      "clientid x",
      "cleansession true",
    ],
    ...[
      "remote_clientid x",
      "local_clientid x",
      "username x",
      "remote_username x",
      "local_username x",
      "try_private true",
    ],
    ...[
      "local_cleansession true",
      "keepalive_interval 60",
      "idle_timeout 60",
      "restart_timeout 5 30",
      "round_robin true",
    ],
    ...[
      "start_type lazy",
      "threshold 10",
      "notifications true",
      "notification_topic x",
      "notifications_local_only true",
    ],
    ...[
      "password x",
      "remote_password x",
      "local_password x",
      "bridge_psk 00",
      "bridge_cafile /ca",
      "bridge_insecure true",
    ],
    ...["bridge_identity x", "bridge_protocol_version mqttv50", "bridge_tls_use_os_certs true"],
  ]
  test.each(ofBridges)("%s, as there are no bridges", async (line) => {
    const { left } = await imported(open(line))
    expect(left).toEqual([{ said: line, kind: "lost", why: "there are no bridges here yet" }])
  })
})

describe("lets nobody in rather than more than Mosquitto:", () => {
  const lines = [
    ...["auth_plugin /x.so", "plugin /x.so", "global_plugin /x.so", "plugin_use x", "clientid_prefixes secure-"],
    ...["use_username_as_clientid true", "psk_hint x", "tls_engine x", "tls_keyform engine", "bind_interface eth0"],
    ...["enable_proxy_protocol 2", "proxy_protocol_v2_require_tls true", "mount_point house", "mount_point a/+/"],
    ...["certfile /c.pem", "keyfile /k.pem"],
    // What cannot be read may be what keeps somebody out.
    ...["require_certificate yes", "allow_anonymous no", "password_file", "acl_file", "max_qos 3", "protocol mqttsn"],
    ...["made_up_option true", "per_listener_settings maybe"],
  ]
  test.each(lines)("%s", async (line) => {
    const { left, values } = await imported(open(line))
    expect(left).toContainEqual({ said: line, kind: "closes", why: expect.stringMatching(/\w/) })
    expect(values.listeners[0]).toMatchObject({ auth: { passwords: "/dev/null" } })
  })

  const ofTls = [
    [[...tls, "crlfile /crl"], "crlfile /crl"],
    [[...tls, "use_subject_as_username true"], "use_subject_as_username true"],
    [[...tls, "protocol websockets", "use_identity_as_username true"], "use_identity_as_username true"],
    [["certfile /c.pem", "keyfile /k.pem", "capath /certs", "require_certificate true"], "capath /certs"],
    [["listener 1884", "socket_domain ipv6"], "socket_domain ipv6"],
    [["listener 0 /run/x.sock", "protocol websockets"], "protocol websockets"],
    [["include_dir /nowhere/at/all"], "include_dir /nowhere/at/all"],
    [["password_file /a", "password_file /b"], "password_file /b"],
    [["per_listener_settings true"], "per_listener_settings true"], // behind what it is about
  ] as const
  test.each(ofTls)("%j", async (lines, said) => {
    const { left, values } = await imported(open(...lines))
    expect(left).toContainEqual({ said, kind: "closes", why: expect.stringMatching(/\w/) })
    const { auth } = values.listeners.at(-1) as { auth?: object }
    expect(auth).toMatchObject({ passwords: "/dev/null" })
  })

  const unopened = [
    "listener",
    "listener x",
    "listener 70000",
    "listener 0",
    "listener 0 # no",
    "listener 1883 127.0.0.1",
  ]
  test.each(unopened)("%s opens nothing", async (said) => {
    const { left, values } = await imported(open(said, "max_qos 0"))
    expect(left[0]).toEqual({ said, kind: "closes", why: expect.stringMatching(/\w/) })
    expect(values.listeners).toMatchObject([{ port: 1883, limits: { maximumQoS: 2 } }])
  })
})

describe("lets in fewer than Mosquitto, and says so:", () => {
  const cases = [
    [["disable_client_cert_date_checks true"], "disable_client_cert_date_checks true"],
    [[...tls, "capath /certs"], "capath /certs"],
    [["listener 1884", "acl_file /acl"], "allow_anonymous true"],
  ] as const
  test.each(cases)("%j", async (lines, said) => {
    const { left } = await imported(open(...lines))
    expect(left).toEqual([{ said, kind: "narrower", why: expect.stringMatching(/\w/) }])
  })
})

describe("of several lines", () => {
  test("the last counts, and the others are said", async () => {
    const { values, left } = await imported(open("max_keepalive 5", "max_keepalive 6"))
    expect(values.limits.maximumKeepAliveSeconds).toBe(6)
    expect(left).toEqual([
      { said: "max_keepalive 5", kind: "needless", why: expect.stringContaining(":4 says it anew") },
    ])
  })

  test("the least important of log_type is the level, from the last none on", async () => {
    const levelOf = async (...types: string[]) =>
      (await imported(open(...types.map((type) => `log_type ${type}`)))).values.logLevel
    expect(await levelOf("error", "warning", "notice")).toBe("info")
    expect(await levelOf("error", "all")).toBe("debug")
    expect(await levelOf("all", "none", "warning")).toBe("warn")
    expect(await levelOf("all", "none")).toBe("silent")
  })

  test("the smaller of max_packet_size and message_size_limit counts", async () => {
    const { values, left } = await imported(open("max_packet_size 5000", "message_size_limit 5000"))
    expect(values.limits.maximumPacketBytes).toBe(5000)
    expect(left.map(({ said }) => said)).toEqual(["message_size_limit 5000"])
  })

  test("persistence_location is the folder of the database, which is not Mosquitto's", async () => {
    const { values, left } = await imported(
      open("persistence true", "persistence_location /var/lib/x/", "persistence_file x.db"),
    )
    expect(values.data).toBe("/var/lib/x/manju.db")
    expect(left.map(({ said }) => said)).toEqual(["persistence_file x.db"])
  })
})

describe("every directive", () => {
  const self = readFileSync(import.meta.path, "utf8")

  test("of the table is in this test", () => {
    const isHere = (name: string) => new RegExp(`["'\\s\`]${name.replaceAll(".", "\\.")}\\b`).test(self)
    const others = ["include_dir", "listener_allow_anonymous", "port", "bind_address"] // in import-doors.test.ts
    expect(directiveNames.filter((name) => !isHere(name) && !others.includes(name))).toEqual([])
  })

  test.skipIf(!existsSync(MANUAL))("of the manual page that Debian ships is known", () => {
    const page = gunzipSync(readFileSync(MANUAL)).toString()
    const names = Array.from(page.matchAll(/^\.PP\n\\fB([a-z0-9_.*]+)\\fR/gm), ([, name]) => name!.replace("*", "x"))
    expect(names.length).toBeGreaterThan(80)
    expect(names.filter((name) => definitionOf(name) === undefined)).toEqual(["mosquitto"]) // see also
  })
})

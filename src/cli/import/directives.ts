/**
 * Everything that can be set in a `mosquitto.conf`, to Mosquitto 2.1, and what becomes of it: the keys that it sets here, or why it sets
 * none. What several directives say only together, which is where a listener listens, whom it lets in and what is kept, is put together in
 * `door.ts` and `whole.ts`.
 */
import {
  about,
  anything,
  asItIs,
  closes,
  type Definition,
  duration,
  firstWord,
  limit,
  lost,
  narrower,
  needless,
  number,
  place,
  protocolVersions,
  set,
  setting,
  text,
  together,
  unless,
  word,
  yesOrNo,
} from "./definition.ts"

type More = Partial<Pick<Definition, "mayRepeat" | "isSecret">>

const ofBridge = (more?: More) =>
  about("bridge", anything, lost("there are no bridges here yet"), { mayRepeat: true, ...more })
const ofPlugin = lost("it is for Mosquitto's plugins, of which there are none here")
const plugin = about(
  "security",
  anything,
  closes(
    "there are no plugins of Mosquitto's here; what it decides can be said by passwords, acl, jwt or http in auth",
  ),
  { mayRepeat: true },
)
const logging = (why: string) => about("broker", anything, needless(why), { mayRepeat: true })
const cipher = about(
  "listener",
  text,
  lost("the ciphers are BoringSSL's: of TLS 1.2 those with forward secrecy, and all of TLS 1.3"),
)
const bounded = (key: string) => lost(`everything is bounded here; ${key} sets the bound`)

const definitions: Readonly<Record<string, Definition>> = {
  // Files
  include_dir: about("broker", text, needless("an included file includes no others"), { mayRepeat: true }),
  per_listener_settings: about("whose", yesOrNo, together),

  // Where it listens
  listener: about("listener", place(), together),
  port: about("default", number(1, 65_535), together),
  bind_address: about("default", text, together),
  bind_interface: about(
    "listener",
    text,
    closes("a listener has an address here, not an interface: give the interface's as hostname"),
  ),
  socket_domain: about("listener", word("ipv4", "ipv6"), together),
  protocol: about("listener", word("mqtt", "websockets"), together),
  http_dir: about("listener", text, lost("no files are served here: a web server does that")),
  websockets_headers_size: about("broker", anything, needless("requests are bounded here")),
  websockets_log_level: logging("there is one level for all"),
  websockets_origin: about("listener", text, together, { mayRepeat: true }),
  set_tcp_nodelay: about("broker", yesOrNo, needless("it is always set here")),
  enable_proxy_protocol: about(
    "listener",
    anything,
    closes("the proxies have to be named here: proxy = { trusted = [...] }"),
  ),
  proxy_protocol_v2_require_tls: about(
    "listener",
    yesOrNo,
    unless(false, closes("what a proxy says of TLS is not looked at here")),
  ),

  // TLS
  certfile: about("listener", text, together),
  keyfile: about("listener", text, together),
  cafile: about("listener", text, together),
  capath: about("listener", text, together),
  require_certificate: about("listener", yesOrNo, together),
  use_identity_as_username: about("listener", yesOrNo, together),
  use_subject_as_username: about("listener", yesOrNo, together),
  crlfile: about("listener", text, together),
  disable_client_cert_date_checks: about(
    "listener",
    yesOrNo,
    unless(false, narrower("a certificate that has expired is always refused here")),
  ),
  psk_hint: about(
    "listener",
    text,
    closes("there is TLS with certificates here, not with pre-shared keys: give tls a cert and a key"),
  ),
  psk_file: about("security", text, needless("only listeners with a psk_hint have a use for it")),
  tls_version: about("listener", anything, (version) =>
    firstWord(version) === "tlsv1.2" ? asItIs : lost("TLS 1.2 and 1.3 are spoken here, both always"),
  ),
  ciphers: cipher,
  "ciphers_tls1.3": cipher,
  dhparamfile: about("listener", text, needless("keys are agreed on by elliptic curves here")),
  tls_engine: about("listener", text, closes("a private key is in a file here, in PEM")),
  tls_engine_kpass_sha1: about("listener", anything, needless("only a tls_engine has a use for it"), {
    isSecret: true,
  }),
  tls_keyform: about("listener", word("pem", "engine"), (form) =>
    form === "pem" ? asItIs : closes("a private key is in a file here, in PEM"),
  ),

  // Who may come in, and what for
  allow_anonymous: about("security", yesOrNo, together),
  listener_allow_anonymous: about("listener", yesOrNo, together),
  password_file: about("security", text, together),
  acl_file: about("security", text, together),
  clientid_prefixes: about(
    "broker",
    text,
    closes("client ids are free here: rules with %c in the acl_file, or an auth over http, restrict them"),
  ),
  use_username_as_clientid: about(
    "listener",
    yesOrNo,
    unless(
      false,
      closes(
        "clients choose their ids themselves here, though a session belongs to the user who made it; rules go by %u in place of %c",
      ),
    ),
  ),
  plugin,
  auth_plugin: plugin,
  global_plugin: { ...plugin, scope: "every" },
  plugin_use: { ...plugin, scope: "listener" },
  plugin_load: about("broker", anything, ofPlugin, { mayRepeat: true }),
  auth_plugin_deny_special_chars: about("broker", anything, ofPlugin, { mayRepeat: true }),
  check_retain_source: about(
    "broker",
    yesOrNo,
    unless(false, lost("a retained message stays when its publisher loses the right to it: delete it")),
  ),

  // What clients are offered
  accept_protocol_versions: about("listener", protocolVersions(), setting("limits.protocolLevels")),
  allow_zero_length_clientid: about("security", yesOrNo, setting("limits.assignClientIds")),
  auto_id_prefix: about("security", text, setting("limits.assignedClientIdPrefix")),
  listener_auto_id_prefix: about("listener", text, setting("limits.assignedClientIdPrefix")),
  max_connections: about("listener", limit, (most) =>
    most > 0 ? set({ "limits.maximumConnections": most }) : bounded("limits.maximumConnections"),
  ),
  max_qos: about("listener", number(0, 2), setting("limits.maximumQoS")),
  maximum_qos: about("listener", number(0, 2), setting("limits.maximumQoS")),
  max_topic_alias: about("listener", number(0, 65_535), setting("limits.topicAliasMaximum")),
  max_topic_alias_broker: about("listener", number(0, 65_535), setting("limits.outgoingTopicAliasMaximum")),
  mount_point: about("listener", text, (prefix) =>
    /^[^+#]*\/$/.test(prefix)
      ? set({ "limits.mountPoint": prefix })
      : closes("mountPoint ends in / here, and has no wildcards"),
  ),
  retain_available: about("every", yesOrNo, setting("limits.retainAvailable")),

  // Limits
  global_max_connections: about("broker", limit, (most) =>
    most > 0 ? set({ "limits.maximumConnections": most }) : bounded("limits.maximumConnections"),
  ),
  global_max_clients: about("broker", limit, (most) =>
    most > 0 ? set({ "limits.maximumSessions": most }) : bounded("limits.maximumSessions"),
  ),
  max_inflight_messages: about("broker", number(-1, 65_535), (most) => {
    const messages = most > 0 ? most : 65_535
    return set({ "limits.maximumInflight": messages, "limits.receiveMaximum": messages })
  }),
  max_inflight_bytes: about("broker", limit, (most) =>
    most > 0 ? lost("messages in flight are counted here, not their bytes: limits.maximumInflight") : asItIs,
  ),
  max_queued_messages: about("broker", limit, (most) =>
    set({ "limits.maximumQueuedMessages": most > 0 ? most : Number.MAX_SAFE_INTEGER }),
  ),
  max_queued_bytes: about("broker", limit, (most) =>
    most > 0 ? set({ "limits.maximumQueuedBytes": most }) : bounded("limits.maximumQueuedBytes"),
  ),
  max_packet_size: about("broker", number(0), together),
  message_size_limit: about("broker", limit, together),
  memory_limit: about("broker", limit, (most) =>
    most > 0
      ? lost("what waits in memory is bounded by limits.maximumQueueMemoryBytes, the process by MemoryMax of systemd")
      : asItIs,
  ),
  max_keepalive: about("broker", number(0, 65_535), setting("limits.maximumKeepAliveSeconds")),
  persistent_client_expiration: about("broker", duration(), setting("limits.maximumSessionExpirySeconds")),
  retain_expiry_interval: about(
    "broker",
    anything,
    lost("a retained message stays until it expires by its publisher's word, or is deleted"),
  ),
  packet_buffer_size: about("broker", anything, needless("buffers grow and shrink here")),
  packet_max_auth: about("broker", anything, bounded("limits.maximumPacketBytes")),
  packet_max_connect: about("broker", anything, bounded("limits.maximumPacketBytes")),
  packet_max_simple: about("broker", anything, needless("they are bounded by what they may hold")),
  packet_max_sub: about("broker", anything, bounded("limits.maximumPacketBytes")),
  packet_max_un_sub: about("broker", anything, bounded("limits.maximumPacketBytes")),

  // How messages go
  allow_duplicate_messages: about(
    "broker",
    yesOrNo,
    needless("of overlapping subscriptions a client gets one copy here"),
  ),
  queue_qos0_messages: about(
    "broker",
    yesOrNo,
    unless(false, lost("at QoS 0 nothing waits for who is away: publish and subscribe with QoS 1")),
  ),
  upgrade_outgoing_qos: about("broker", yesOrNo, unless(false, lost("a message keeps its QoS here, as MQTT has it"))),
  retry_interval: about("broker", anything, needless("what is unanswered is sent again when its client is back")),

  // What is kept
  persistence: about("broker", yesOrNo, together),
  retained_persistence: about("broker", yesOrNo, together),
  persistence_location: about("broker", text, together),
  persistence_file: about(
    "broker",
    text,
    needless("the database is manju's own; what is in Mosquitto's is not taken over"),
  ),
  autosave_interval: about("broker", anything, needless("what is acknowledged is on the disk")),
  autosave_on_changes: about("broker", anything, needless("what is acknowledged is on the disk")),

  // What is told
  sys_interval: about("broker", number(0), (seconds) =>
    set({ "limits.sysIntervalSeconds": Math.min(seconds, 86_400) }),
  ),
  log_type: about(
    "broker",
    word(
      "none",
      "error",
      "warning",
      "notice",
      "information",
      "subscribe",
      "unsubscribe",
      "internal",
      "websockets",
      "debug",
      "all",
    ),
    together,
    { mayRepeat: true },
  ),
  log_dest: about("broker", anything, together, { mayRepeat: true }),
  log_facility: logging("the log goes to standard error; systemd's journal keeps it"),
  log_timestamp: logging("each line has the time, and journals add theirs"),
  log_timestamp_format: logging("the time is as ISO 8601 has it"),
  connection_messages: about(
    "broker",
    yesOrNo,
    unless(true, lost('who comes and goes is told at the level "info": logLevel = "warn" leaves it out')),
  ),
  enable_control_api: about(
    "broker",
    yesOrNo,
    unless(false, lost("the broker is looked after over HTTP here: a listener of type http")),
  ),

  // The process
  user: about("broker", anything, needless("it runs as whoever starts it: User= of systemd")),
  pid_file: about("broker", anything, needless("systemd knows its process")),

  // Bridges
  connection: ofBridge(),
  ...Object.fromEntries(
    [
      ...[
        "address",
        "addresses",
        "topic",
        "clientid",
        "remote_clientid",
        "local_clientid",
        "username",
        "remote_username",
      ],
      ...[
        "local_username",
        "cleansession",
        "local_cleansession",
        "keepalive_interval",
        "idle_timeout",
        "restart_timeout",
      ],
      ...["round_robin", "start_type", "threshold", "try_private", "notifications", "notification_topic"],
      ...["notifications_local_only"],
    ].map((name) => [name, ofBridge()]),
  ),
  ...Object.fromEntries(
    ["password", "remote_password", "local_password"].map((name) => [name, ofBridge({ isSecret: true })]),
  ),
}

/** What begins so, whatever follows. */
const families: readonly (readonly [beginning: string, definition: Definition])[] = [
  ["bridge_psk", ofBridge({ isSecret: true })],
  ["bridge_", ofBridge()],
  ["auth_opt_", about("broker", anything, ofPlugin, { mayRepeat: true, isSecret: true })],
  ["plugin_opt_", about("broker", anything, ofPlugin, { mayRepeat: true, isSecret: true })],
]

/** Undefined for a name that Mosquitto does not have. */
export function definitionOf(name: string): Definition | undefined {
  if (Object.hasOwn(definitions, name)) return definitions[name]
  return families.find(([beginning]) => name.startsWith(beginning))?.[1]
}

/** Every name, but for those of families. */
export const directiveNames: readonly string[] = Object.keys(definitions)

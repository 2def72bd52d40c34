/**
 * What the lines on a listener say together: where it listens, who may come in, by what proof, and what for.
 *
 * Nobody comes in here whom Mosquitto keeps out. Where a line forbids what cannot be forbidden here the listener has a password file in which
 * nobody is, with what it was in a comment. It has that one, too, where nobody may come in with Mosquitto either, which is how a listener is
 * there of which nothing else is said: here one on loopback would let everybody in.
 */

import { bracketed, isLoopback } from "../../hostname.ts"
import type { Directive } from "./lines.ts"
import { placeOf } from "./lines.ts"
import type { LeftLines, Said, Section, Sections } from "./sections.ts"
import type { Setting } from "./whole.ts"

/** A password file without users. */
export const NOBODY = "/dev/null"

export interface DoorSettings {
  /** The line `listener`; undefined: the listener that Mosquitto has without it. */
  readonly from: Directive | undefined
  /** `0.0.0.0:1883`, or the path of a socket. */
  readonly name: string
  /** Beside the others, so that those of listeners can be compared. */
  readonly auth: readonly Setting[]
  readonly settings: readonly Setting[]
  /** Why nobody may come in, a line each; none where somebody may. */
  readonly closed: readonly string[]
}

export interface Surroundings {
  /** Finds a file that Mosquitto names. */
  readonly locate: (path: string) => string
  /** The address of all interfaces. */
  readonly everywhere: string
}

/** The listeners that Mosquitto would open. `left` grows by what is not carried over. */
export function doorsOf(sections: Sections, surroundings: Surroundings, left: LeftLines): DoorSettings[] {
  const { standard, listeners } = sections
  const isLocal = !sections.isNamed
  const opened = isLocal || isOpened(standard) ? [standard, ...listeners] : [...listeners]
  for (const { directive } of opened.includes(standard) ? [] : standard) {
    left.set(directive, {
      kind: "needless",
      why: "it is about the listener without the word listener, which is not opened",
    })
  }
  const doors: DoorSettings[] = []
  for (const section of opened) {
    const door = new Door(section, sections, surroundings, isLocal, left).describe()
    const isTaken = doors.some(({ name }) => name === door.name)
    if (!isTaken) doors.push(door)
    else left.set(section.listener!, { kind: "closes", why: `another listener is at ${door.name} already` })
  }
  return doors
}

/** Before any other listener each of these makes Mosquitto open its standard one, unless it says what holds anyway. */
const opening: Readonly<Record<string, unknown>> = {
  ...Object.fromEntries(
    [
      ...[
        "port",
        "bind_address",
        "bind_interface",
        "socket_domain",
        "mount_point",
        "psk_hint",
        "psk_file",
        "password_file",
      ],
      ...[
        "cafile",
        "capath",
        "certfile",
        "keyfile",
        "crlfile",
        "ciphers",
        "ciphers_tls1.3",
        "dhparamfile",
        "tls_engine",
      ],
      ...["tls_engine_kpass_sha1", "plugin", "auth_plugin", "plugin_use"],
    ].map((name) => [name, undefined]),
  ),
  ...{ max_connections: -1, max_qos: 2, maximum_qos: 2, protocol: "mqtt", tls_keyform: "pem" },
  ...{ require_certificate: false, use_identity_as_username: false, use_subject_as_username: false },
  ...{ use_username_as_clientid: false, allow_zero_length_clientid: true },
}

function isOpened(standard: Section): boolean {
  return Object.entries(opening).some(([name, idle]) => standard.has(name) && standard.get(name)!.value !== idle)
}

class Door {
  private readonly section: Section
  private readonly broker: Section
  /** Where it is said who may come in. */
  private readonly security: Section
  private readonly surroundings: Surroundings
  /** On loopback for everybody: Mosquitto without any listener. */
  private readonly isLocal: boolean
  private readonly left: LeftLines
  private readonly settings: Setting[] = []
  private readonly closed: string[] = []

  constructor(section: Section, sections: Sections, surroundings: Surroundings, isLocal: boolean, left: LeftLines) {
    this.section = section
    this.broker = sections.broker
    this.security = sections.isPerListener ? section : sections.broker
    this.surroundings = surroundings
    this.isLocal = isLocal
    this.left = left
  }

  describe(): DoorSettings {
    const { section, settings, closed } = this
    const { name, host } = this.place()
    this.carry()
    this.closeBySaid()
    const hasNames = this.tls()
    const auth = this.auth(host, hasNames)
    return { from: section.listener, name, auth, settings, closed }
  }

  /** Where it listens. `host` undefined: it is a socket in the file system. */
  private place(): { name: string; host: string | undefined } {
    const { section } = this
    const isWebSocket = section.get("protocol")?.value === "websockets"
    const [port = "", address] = section.listener?.value.split(/[\t ]+/) ?? []
    const from = section.listener === undefined ? [] : [section.listener]
    const local = address === undefined || address.startsWith("#") ? undefined : address
    if (Number(port) === 0 && local !== undefined) {
      const path = this.surroundings.locate(local)
      this.set("type", "unix", [])
      this.set("path", path, from)
      if (isWebSocket)
        this.close(section.get("protocol")!.directive, "WebSockets are not spoken on sockets in the file system")
      return { name: path, host: undefined }
    }
    const said = { port: section.get("port"), host: section.get("bind_address") }
    const number = section.listener === undefined ? Number(said.port?.value ?? 1883) : Number(port)
    const { host, by } = this.host(local ?? (said.host?.value as string | undefined))
    this.set("type", isWebSocket ? "websocket" : "tcp", section.all("protocol").map(directiveOf))
    this.set("hostname", host, [...by, ...(said.host === undefined ? [] : [said.host.directive])])
    this.set("port", number, said.port === undefined ? from : [said.port.directive])
    if (isWebSocket) this.origins()
    else for (const line of section.all("websockets_origin")) this.pass(line, "it is for WebSockets")
    return { name: `${bracketed(host)}:${number}`, host }
  }

  private host(given: string | undefined): { host: string; by: Directive[] } {
    const domain = this.section.get("socket_domain")
    if (this.isLocal) {
      if (domain !== undefined) this.pass(domain, "it listens on 127.0.0.1")
      return { host: "127.0.0.1", by: [] }
    }
    if (given !== undefined) {
      if (domain !== undefined) this.pass(domain, "the address says it")
      return { host: given, by: [] }
    }
    if (domain?.value === "ipv4") return { host: "0.0.0.0", by: [domain.directive] }
    if (domain !== undefined)
      this.close(domain.directive, "a listener on :: takes IPv4, too: give it an address of IPv6")
    return { host: this.surroundings.everywhere, by: [] }
  }

  /** Mosquitto lets pages of any site connect, unless it is told of some. */
  private origins(): void {
    const lines = this.section.all("websockets_origin")
    const value = lines.length === 0 ? ["*"] : lines.map(({ value }) => value)
    this.set(
      "origins",
      value,
      lines.map(directiveOf),
      lines.length === 0 ? "pages of any site, as with Mosquitto" : undefined,
    )
  }

  /** What sets keys of its own. */
  private carry(): void {
    const { section, broker, settings } = this
    const ofAll = [...broker].filter(({ definition }) => definition.scope !== "broker")
    for (const { directive, fate } of [...ofAll, ...section]) {
      if (fate.kind !== "keys") continue
      for (const [key, value] of Object.entries(fate.values)) {
        const at = settings.findIndex((each) => each.key === key)
        if (at >= 0) settings.splice(at, 1) // what is said of a listener itself counts more
        this.set(key, value, [directive])
      }
    }
  }

  /** What cannot be forbidden here. */
  private closeBySaid(): void {
    for (const { directive, fate } of [...this.broker, ...this.section]) {
      if (fate.kind === "closes") this.close(directive, fate.why)
    }
    for (const directive of [...this.broker.closing, ...this.section.closing]) {
      this.close(directive, this.left.get(directive)!.why)
    }
  }

  /** Whether the user's name comes from a certificate. */
  private tls(): boolean {
    const { section, settings } = this
    const [certificate, key] = [section.get("certfile"), section.get("keyfile")]
    const names = [section.get("use_identity_as_username"), section.get("use_subject_as_username")]
    const ofClients = [
      ...["cafile", "capath", "crlfile", "require_certificate"].map((name) => section.get(name)),
      ...names,
    ]
    if (certificate === undefined || key === undefined) {
      const half = certificate ?? key
      if (half !== undefined) this.close(half.directive, "TLS takes both certfile and keyfile; Mosquitto speaks none")
      for (const said of ofClients)
        if (said !== undefined) this.pass(said, "there is no TLS without certfile and keyfile")
      return false
    }
    this.setFile("tls.cert", certificate)
    this.setFile("tls.key", key)
    const [identity, subject] = names.map((said) => (said?.value === true ? said : undefined))
    for (const said of names) if (said?.value === false) this.pass(said, "so it is here anyway")
    const isWanted = this.clientCertificates()
    if (identity === undefined && subject === undefined) return false
    const by = (identity ?? subject)!.directive
    if (!section.isOn("require_certificate")) {
      this.closed.push(
        `${placeOf(by)}: names are those of certificates, which nobody is asked for without require_certificate`,
      )
      return true
    }
    if (identity === undefined)
      this.close(by, "a user is called by the commonName or a subjectAltName here, not by the whole subject")
    else if (subject !== undefined) this.pass(subject, "use_identity_as_username comes before it")
    const isWebSocket = settings.some(({ key, value }) => key === "type" && value === "websocket")
    if (identity !== undefined && isWebSocket) this.close(by, "whose certificate a WebSocket has is not known here")
    else if (identity !== undefined && isWanted) this.set("usernameFrom", "commonName", [by])
    return true
  }

  /** Whether clients have to show a certificate. */
  private clientCertificates(): boolean {
    const { section } = this
    const [file, folder, revoked, required] = ["cafile", "capath", "crlfile", "require_certificate"].map((name) =>
      section.get(name),
    )
    if (required?.value !== true) {
      for (const said of [file, folder, revoked]) {
        if (said !== undefined) this.pass(said, "clients are asked for no certificate without require_certificate true")
      }
      if (required !== undefined) this.pass(required, "so it is here anyway")
      return false
    }
    if (revoked !== undefined)
      this.close(
        revoked.directive,
        "certificates cannot be revoked here: take their users out of the acl_file, or give a new authority",
      )
    if (file === undefined) {
      const why = "put all of the folder's into one file: cat *.pem > ca.pem"
      if (folder !== undefined) this.close(folder.directive, `authorities are in a file here, tls.ca: ${why}`)
      else this.closed.push(`${placeOf(required.directive)}: no certificate is good without cafile`)
      this.pass(required, "nobody may come in, with or without a certificate")
      return false
    }
    this.set("tls.ca", this.surroundings.locate(String(file.value)), [file.directive, required.directive])
    if (folder !== undefined) {
      this.left.set(folder.directive, {
        kind: "narrower",
        why: "authorities are in one file here, tls.ca: put these into it",
      })
    }
    return true
  }

  /** Who may come in, and what for. */
  private auth(host: string | undefined, hasNames: boolean): Setting[] {
    const { security, closed } = this
    const file = security.get("password_file")
    const rules = security.get("acl_file")
    const stranger = this.section.get("listener_allow_anonymous") ?? security.get("allow_anonymous")
    const letsStrangersIn = stranger === undefined ? this.isLocal : stranger.value === true
    const isOpenWithoutWord = host === undefined || isLoopback(host)
    if (this.isLocal && stranger?.value === false) {
      this.narrow(
        stranger.directive,
        "it holds here; Mosquitto, without a listener, lets everybody of the machine in nevertheless",
      )
    }
    if (!hasNames && file === undefined && !letsStrangersIn) {
      closed.push("nobody may come in without a password_file or allow_anonymous true")
    }
    if (closed.length > 0) return [{ key: "auth.passwords", value: NOBODY, from: [] }]
    const settings: Setting[] = []
    const believed: Directive[] = []
    const add = (key: string, value: unknown, from: Directive[], note?: string) =>
      settings.push({ key: `auth.${key}`, value, from, ...(note !== undefined && { note }) })
    const refused = stranger?.value === false ? [stranger.directive] : []
    if (file !== undefined && !hasNames) {
      add("passwords", this.surroundings.locate(String(file.value)), [file.directive, ...refused])
    }
    if (file !== undefined && hasNames) this.pass(file, "users are called by their certificates")
    if (letsStrangersIn && !hasNames) {
      const isForNameless = rules !== undefined && file === undefined
      const from = stranger === undefined ? [] : [stranger.directive]
      const note = "who names no user: nothing proves a name here, and the rules go by names"
      if (!isForNameless) add("allowAnonymous", true, from)
      else if (isOpenWithoutWord) believed.push(...from)
      else {
        add("allowAnonymous", true, from, note)
        this.narrow(
          stranger!.directive,
          "who names a user is refused, as nothing proves the name that the acl_file goes by: give a password_file",
        )
      }
    }
    if (rules !== undefined) add("acl", this.surroundings.locate(String(rules.value)), [rules.directive, ...believed])
    return settings
  }

  private narrow(directive: Directive, why: string): void {
    this.left.set(directive, { kind: "narrower", why })
  }

  /** Lets nobody in, since this line cannot be carried over. */
  private close(directive: Directive, why: string): void {
    this.left.set(directive, { kind: "closes", why })
    this.closed.push(`${placeOf(directive)}: ${why}`)
  }

  /** Nothing is missing without this line. */
  private pass({ directive }: Said, why: string): void {
    this.left.set(directive, { kind: "needless", why })
  }

  private setFile(key: string, { directive, value }: Said): void {
    this.set(key, this.surroundings.locate(String(value)), [directive])
  }

  private set(key: string, value: unknown, from: readonly Directive[], note?: string): void {
    this.settings.push({ key, value, from, ...(note !== undefined && { note }) })
  }
}

function directiveOf({ directive }: Said): Directive {
  return directive
}

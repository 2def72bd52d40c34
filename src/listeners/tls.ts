/**
 * TLS for listeners: where the keys are, whether clients must show a certificate, and what changes under way.
 *
 * Whatever is given as a path is read when the listener opens, again when the file changes, and when the operator asks
 * (SIGHUP). New keys are for new connections; those that are open keep theirs. Keys that cannot be used are said and left alone.
 * TLS 1.2 and 1.3 are spoken, nothing older: what Bun's BoringSSL offers.
 */
import { X509Certificate } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { createSecureContext, type PeerCertificate } from "node:tls"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import type { Certificate } from "../broker/ports.ts"

type PemName = "cert" | "key" | "ca"

/** How long a complaint is not repeated: of several files that change each asks, some a look later. */
const SAID_ONCE_MS = 5000

/** PEM: the text itself, its bytes, or the path of a file. */
export type Pem = string | Uint8Array

/** The keys of a listener that speaks TLS. Those that are given as a path are read again when the file changes. */
export interface TlsOptions {
  /** The server's certificate, and those between it and the root. */
  cert: Pem
  /** Its private key. */
  key: Pem
  /** Who may have signed client certificates. Given: clients must show one that holds. */
  ca?: Pem
  /** Of an encrypted key. */
  passphrase?: string
}

export interface Keys {
  readonly cert: string
  readonly key: string
  readonly ca?: string
  readonly passphrase?: string
  readonly requestCert: boolean
  readonly rejectUnauthorized: boolean
}

/** Reads the keys. Throws `INVALID_OPTION` for what is missing, cannot be read or does not fit together. */
export function readKeys({ cert, key, ca, passphrase }: TlsOptions): Keys {
  const mustShow = ca !== undefined
  const keys: Keys = {
    cert: readCertificates("cert", cert),
    key: readPem("key", key),
    ...(ca !== undefined && { ca: readCertificates("ca", ca) }),
    ...(passphrase !== undefined && { passphrase }),
    requestCert: mustShow,
    rejectUnauthorized: mustShow,
  }
  if (!keys.key.includes("PRIVATE KEY-----")) throw unusable("key", key, "there is no private key in it")
  try {
    createSecureContext(keys)
  } catch (error) {
    const names = [nameOf("cert", cert), nameOf("key", key)].join(" and ")
    throw new ManjuError("INVALID_OPTION", `${names} cannot be used together: ${whyUnusable(error, keys)}`)
  }
  return keys
}

/**
 * Calls `renew` with new keys whenever the files have changed to keys that can be used, and again with those before if that
 * throws; until the returned function is called. `keys` are in use now.
 */
export function watchKeys(
  core: Core,
  id: string,
  options: TlsOptions,
  keys: Keys,
  renew: (keys: Keys) => void,
): () => void {
  const details = { area: "listener", listener: id } as const
  let current = keys
  let complaint = ""
  let complainedAt = Number.NEGATIVE_INFINITY
  const look = () => {
    try {
      const next = readKeys(options)
      if (JSON.stringify(next) === JSON.stringify(current)) {
        if (complaint !== "") core.logger.info(`${id}: the certificate that stayed is back in its files`, details)
        complaint = ""
        return
      }
      try {
        renew(next)
      } catch (error) {
        renew(current)
        throw error
      }
      current = next
      complaint = ""
      core.logger.info(`${id}: new connections get the new certificate`, details)
    } catch (error) {
      const { message } = error as Error
      const isSaid = message === complaint && core.now() - complainedAt < SAID_ONCE_MS
      if (isSaid) return
      complaint = message
      complainedAt = core.now()
      core.logger.error(`${id}: the certificate stays as it was: ${message}`, details)
    }
  }
  const paths = [options.cert, options.key, options.ca].filter((pem) => isPath(pem))
  const ends = [...new Set(paths)].map((path) => core.files.watch(path, look))
  look() // what has changed between the first reading and the watching
  return () => {
    for (const end of ends) end()
  }
}

/** What a verified client certificate says; undefined where there is none. */
export function certificateOf(peer: PeerCertificate | object | null | undefined): Certificate | undefined {
  if (peer === null || peer === undefined || !("subject" in peer)) return undefined
  const { subject, subjectaltname = "", fingerprint256 = "" } = peer
  return {
    commonName: [subject?.CN].flat()[0],
    subjectAltNames: subjectaltname.split(", ").filter(isReadable).map(unquoted),
    fingerprint: fingerprint256,
  }
}

/** Of a name of a kind that nobody here reads there is only `othername:<unsupported>`, the same for all. */
function isReadable(name: string): boolean {
  return name !== "" && !name.startsWith("othername:")
}

/** A name with a comma in it comes as `URI:"urn:a\u002c b"`, so that it cannot be taken for two. */
function unquoted(name: string): string {
  const [, kind, quoted] = name.match(/^([^:]+:)(".*")$/) ?? []
  return quoted === undefined ? name : kind + JSON.parse(quoted)
}

function isPath(pem: Pem | undefined): pem is string {
  return typeof pem === "string" && !pem.includes("-----BEGIN")
}

function readPem(name: PemName, pem: Pem | undefined): string {
  if (pem === undefined) throw new ManjuError("INVALID_OPTION", `tls.${name} is missing`)
  if (!isPath(pem)) return typeof pem === "string" ? pem : new TextDecoder().decode(pem)
  if (!existsSync(pem)) throw new ManjuError("INVALID_OPTION", `tls.${name}: there is no file ${pem}`)
  try {
    return readFileSync(pem, "utf8")
  } catch (error) {
    throw unusable(name, pem, (error as Error).message)
  }
}

function readCertificates(name: PemName, pem: Pem | undefined): string {
  const text = readPem(name, pem)
  const problem = certificatesProblem(text)
  if (problem !== undefined) throw unusable(name, pem, problem)
  return text
}

/**
 * What is wrong with PEM for certificates. Undefined: there is at least one, and every one is whole; BoringSSL would go by those before
 * the first that it cannot read.
 */
export function certificatesProblem(text: string): string | undefined {
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  const begun = text.split("-----BEGIN CERTIFICATE").length - 1
  if (begun === 0) return "there is no certificate in it"
  if (certificates.length < begun) return "it is not whole"
  try {
    for (const certificate of certificates) new X509Certificate(certificate)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

function unusable(name: PemName, pem: Pem | undefined, why: string): ManjuError {
  return new ManjuError("INVALID_OPTION", `${nameOf(name, pem)} cannot be used: ${why}`)
}

/** `tls.cert`, and the file if it is one. */
function nameOf(name: PemName, pem: Pem | undefined): string {
  return isPath(pem) ? `tls.${name} (${pem})` : `tls.${name}`
}

/** Why a handshake has failed: BoringSSL's words, and what they mean most of the time. */
export function whyNoHandshake(error: { readonly message: string } | null | undefined): string {
  const message = error?.message ?? "the handshake failed"
  // In TLS 1.3 a client that turns away says why in clear, where BoringSSL expects what is encrypted.
  if (/BAD_PACKET_LENGTH|UNKNOWN_CA/.test(message)) return `${message} (perhaps it does not trust the certificate)`
  return /WRONG_VERSION_NUMBER|HTTP_REQUEST/.test(message) ? `${message} (perhaps it does not speak TLS)` : message
}

/** Why BoringSSL does not take them, in the operator's words. */
function whyUnusable(error: unknown, { key, passphrase }: Keys): string {
  const { message } = error as Error
  if (message.includes("MISMATCH")) return "the key is not the certificate's"
  if (!key.includes("ENCRYPTED")) return message
  return passphrase === undefined ? "the key is encrypted, which takes tls.passphrase" : "tls.passphrase does not fit"
}

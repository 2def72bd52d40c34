/**
 * TLS for listeners: where the keys are, whether clients must show a certificate, and what changes under way.
 *
 * Whatever is given as a path is read when the listener opens, again when the file changes, and when the operator asks
 * (SIGHUP). New keys are for new connections; those that are open keep theirs. Keys that cannot be used are said and left alone.
 * TLS 1.2 and 1.3 are spoken, nothing older: what Bun's BoringSSL offers.
 */
import { existsSync, readFileSync } from "node:fs"
import { createSecureContext, type PeerCertificate } from "node:tls"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import type { Certificate } from "../broker/ports.ts"

/** PEM: the text itself, its bytes, or the path of a file. */
export type Pem = string | Uint8Array

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
    cert: readPem("cert", cert),
    key: readPem("key", key),
    ...(ca !== undefined && { ca: readPem("ca", ca) }),
    ...(passphrase !== undefined && { passphrase }),
    requestCert: mustShow,
    rejectUnauthorized: mustShow,
  }
  try {
    createSecureContext(keys)
  } catch (error) {
    const where = [cert, key].filter((pem) => isPath(pem)).join(" and ")
    throw new ManjuError(
      "INVALID_OPTION",
      `tls: certificate and key cannot be used${where && ` (${where})`}: ${(error as Error).message}`,
    )
  }
  return keys
}

/** Calls `renew` with new keys whenever the files have changed to keys that can be used; until the returned function is called. */
export function watchKeys(core: Core, id: string, options: TlsOptions, renew: (keys: Keys) => void): () => void {
  let current = JSON.stringify(readKeys(options))
  const look = () => {
    try {
      const keys = readKeys(options)
      if (JSON.stringify(keys) === current) return
      current = JSON.stringify(keys)
      renew(keys)
      core.logger.info(`${id}: new connections get the new certificate`)
    } catch (error) {
      core.logger.error(`${id}: the certificate stays as it was: ${(error as Error).message}`)
    }
  }
  const paths = [options.cert, options.key, options.ca].filter((pem) => isPath(pem))
  const ends = [...new Set(paths)].map((path) => core.files.watch(path, look))
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
    subjectAltNames: subjectaltname === "" ? [] : subjectaltname.split(", "),
    fingerprint: fingerprint256,
  }
}

function isPath(pem: Pem | undefined): pem is string {
  return typeof pem === "string" && !pem.includes("-----BEGIN")
}

function readPem(name: string, pem: Pem): string {
  if (!isPath(pem)) return typeof pem === "string" ? pem : new TextDecoder().decode(pem)
  if (!existsSync(pem)) throw new ManjuError("INVALID_OPTION", `tls.${name}: there is no file ${pem}`)
  try {
    return readFileSync(pem, "utf8")
  } catch (error) {
    throw new ManjuError("INVALID_OPTION", `tls.${name}: ${pem} cannot be read: ${(error as Error).message}`)
  }
}

/** Certificates and keys that a client shows or believes, from files of PEM. What is wrong with one is an error of one line. */
import { createSecureContext } from "node:tls"
import { FileError, readText } from "../auth/text-file.ts"
import { certificatesProblem } from "../listeners/tls.ts"
import { CommandFailure } from "./failure.ts"
import { askPassword } from "./secret.ts"

/** A certificate and its key. */
export interface Pair {
  readonly cert: string
  readonly key: string
  /** Of an encrypted key. */
  readonly passphrase?: string
}

/** Throws a `FileError` where there is not at least one, and every one whole. */
export async function readCertificates(path: string): Promise<string> {
  const text = await readText(path)
  const problem = certificatesProblem(text)
  if (problem !== undefined) throw new FileError(path, undefined, problem)
  return text
}

/** The passphrase of an encrypted key is asked for. Throws a `FileError` or a `CommandFailure` for what cannot be used. */
export async function readPair(certPath: string, keyPath: string): Promise<Pair> {
  const cert = await readCertificates(certPath)
  const key = await readText(keyPath)
  if (!key.includes("PRIVATE KEY-----")) throw new FileError(keyPath, undefined, "there is no private key in it")
  const isEncrypted = key.includes("ENCRYPTED")
  if (isEncrypted && !process.stdin.isTTY) {
    const why = "the key is encrypted: its passphrase is asked for at a terminal only; openssl pkey takes it off"
    throw new FileError(keyPath, undefined, why)
  }
  const pair = { cert, key, ...(isEncrypted && { passphrase: await askPassword(`Passphrase of ${keyPath}: `) }) }
  try {
    createSecureContext(pair)
  } catch (error) {
    const { message } = error as Error
    if (isEncrypted && !message.includes("MISMATCH"))
      throw new FileError(keyPath, undefined, "that is not its passphrase")
    const why = message.includes("MISMATCH") ? "the key is not the certificate's" : message
    throw new CommandFailure(`${certPath} and ${keyPath}: ${why}`, { cause: error })
  }
  return pair
}

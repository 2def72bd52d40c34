/** A password file in a folder of its own, and an auth that has it. */
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type PasswordsOptions, passwords } from "../../src/auth/passwords.ts"
import type { Auth, Decision } from "../../src/broker/ports.ts"
import { eventually } from "../listeners/socket.ts"
import { connecting, FakeAuthContext } from "./auth-context.ts"
import { temporaryFolder } from "./broker-process.ts"

/** The cheapest argon2id there is, so that tests take no time; another `memoryKiB` is another kind of hash. */
export function cheapHash(password: string | Uint8Array, memoryKiB = 8): Promise<string> {
  return Bun.password.hash(password, { algorithm: "argon2id", memoryCost: memoryKiB, timeCost: 1 })
}

/** As Mosquitto 1.6 made them. */
export function sha512Hash(password: string, salt = "salt of them"): string {
  const hash = createHash("sha512").update(password).update(salt).digest("base64")
  return `$6$${Buffer.from(salt).toString("base64")}$${hash}`
}

export class PasswordFile {
  readonly context = new FakeAuthContext()
  readonly path: string
  readonly auth: Auth
  private readonly folder = temporaryFolder()

  /** Writes a file with these users, by name, or with this text. */
  constructor(content: Record<string, string> | string, options?: PasswordsOptions) {
    this.path = join(this.folder.path, "users.txt")
    this.auth = passwords(this.path, options)
    this.write(content)
  }

  /** With the auth open. */
  static async open(hashes: Record<string, string>, options?: PasswordsOptions): Promise<PasswordFile> {
    const file = new PasswordFile(hashes, options)
    await file.auth.open!(file.context)
    return file
  }

  /** Other users, or another text. */
  write(content: Record<string, string> | string): void {
    const lines =
      typeof content === "string" ? [content] : Object.entries(content).map((entry) => `${entry.join(":")}\n`)
    writeFileSync(this.path, lines.join(""))
  }

  /** Other users, of which the auth has heard; it must change something. */
  async change(hashes: Record<string, string>): Promise<void> {
    const { changes } = this.context
    this.write(hashes)
    this.context.touch(this.path)
    await eventually(() => this.context.changes > changes, "the file to be read again")
  }

  /** A file that is no good, of which the auth has heard. Returns what it has logged. */
  async spoil(text: string): Promise<string> {
    const { length } = this.context.logged
    this.write(text)
    this.context.touch(this.path)
    await eventually(() => this.context.logged.length > length, "the file to be read again")
    return this.context.logged.at(-1)!
  }

  authenticate(username?: string, password?: string | Uint8Array): Decision | PromiseLike<Decision> {
    return this.auth.authenticate(connecting(username, password))
  }

  [Symbol.dispose](): void {
    this.auth.close!()
    this.folder[Symbol.dispose]()
  }
}

/** What an auth is given to work with, in a test: it notes what the auth says, and files change when the test says so. */
import type { Auth, AuthContext, Client, Connecting, Logger } from "../../src/broker/ports.ts"
import { ManualClock } from "../../src/testing/clock.ts"

export class FakeAuthContext implements AuthContext {
  readonly clock = new ManualClock()
  /** What has been logged, as `level: message`. */
  readonly logged: string[] = []
  /** How often the auth has said that decisions may be others now. */
  changes = 0
  private readonly watching = new Set<{ readonly path: string; readonly changed: () => void }>()

  get logger(): Logger {
    const note = (level: keyof Logger) => (message: string) => void this.logged.push(`${level}: ${message}`)
    return { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") }
  }

  /** The files that are watched. */
  get watched(): string[] {
    return Array.from(this.watching, ({ path }) => path)
  }

  /** Opens a member as a broker does that has nobody else. */
  async open(member: Auth): Promise<void> {
    await member.open?.(this)
  }

  watch(path: string, changed: () => void): () => void {
    const entry = { path, changed }
    this.watching.add(entry)
    return () => this.watching.delete(entry)
  }

  changed(): void {
    this.changes++
  }

  /** Tells who watches the file that it has changed. */
  touch(path: string): void {
    for (const entry of [...this.watching]) if (entry.path === path) entry.changed()
  }
}

/** A client that asks to be let in. */
export function connecting(username?: string, password?: string | Uint8Array, fields: Partial<Connecting> = {}) {
  return {
    clientId: "client",
    username,
    password: typeof password === "string" ? Buffer.from(password) : password,
    protocolLevel: 5,
    cleanStart: true,
    keepAliveSeconds: 60,
    userProperties: [],
    remoteAddress: "192.0.2.1",
    listener: "tcp",
    ...fields,
  } satisfies Connecting
}

/** A client that has been let in. */
export function admitted(username?: string, fields: Partial<Client> = {}) {
  const client = {
    clientId: "client",
    username,
    protocolLevel: 5,
    remoteAddress: "192.0.2.1",
    listener: "tcp",
  } as const
  return { ...client, ...fields } satisfies Client
}

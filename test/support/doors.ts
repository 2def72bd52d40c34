/**
 * A broker with a door of every kind, as a process of its own, so that its memory and its open sockets can be counted from
 * outside. `bun doors.ts FOLDER` serves with the certificate that is there until its standard input ends, as it does when the
 * tests break off; `Doors` starts and watches it.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { allowAll } from "../../src/auth/allow.ts"
import { passwords } from "../../src/auth/passwords.ts"
import { Broker } from "../../src/broker/broker.ts"
import { tcp } from "../../src/listeners/tcp.ts"
import { websocket } from "../../src/listeners/web.ts"
import type { Certificates } from "./certificates.ts"

/** `guarded` takes a PROXY header, too, and then a password. */
export type Door = "tcp" | "tls" | "proxy" | "guarded" | "ws" | "wss"

/** Who may come in by the guarded door: user 0, user 1 and so on, all with this password. */
export const PASSWORD = "right"
const USERS = 10
/** To verify it takes 10 ms or so. */
const PASSWORD_COST = { algorithm: "argon2id", memoryCost: 4096, timeCost: 4 } as const

/** How long somebody may be there without saying who he is. */
const CONNECT_TIMEOUT_SECONDS = 2

const PAGE_BYTES = 4096
/** A state, and the inode of a socket that the kernel alone still has, in /proc/net/tcp. */
const LISTENING = "0A"
const NOBODYS = "0"

export class Doors {
  ports: Record<Door, number> = { tcp: 0, tls: 0, proxy: 0, guarded: 0, ws: 0, wss: 0 }
  /** What it has said on standard error. */
  logged = ""
  /** The text of the certificate by which its own is known. */
  readonly authority: string
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">

  private constructor(certificates: Certificates) {
    this.authority = certificates.text("ca")
    const command = [process.execPath, import.meta.path, certificates.folder]
    this.child = Bun.spawn(command, { stdio: ["pipe", "pipe", "pipe"] })
    void this.listen()
  }

  /** Starts it, and waits until all doors are open. Killed with `await using`. */
  static async open(certificates: Certificates): Promise<Doors> {
    const doors = new Doors(certificates)
    for await (const line of doors.child.stdout.pipeThrough(new TextDecoderStream())) {
      doors.ports = JSON.parse(line) as Doors["ports"]
      return doors
    }
    throw new Error(`it does not open: ${doors.logged}`)
  }

  /** Memory in use, bytes. */
  get residentBytes(): number {
    return Number(readFileSync(`/proc/${this.child.pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES
  }

  /** Connections that it has open, be they half closed: what Linux lists at its ports, and it still holds. */
  get connectionCount(): number {
    const ports = new Set(Object.values(this.ports))
    const lines = readFileSync("/proc/net/tcp", "utf8").trim().split("\n").slice(1)
    return lines.filter((line) => {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/)
      return state !== LISTENING && inode !== NOBODYS && ports.has(Number.parseInt(local.split(":")[1]!, 16))
    }).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.child.exited
  }

  private async listen(): Promise<void> {
    for await (const chunk of this.child.stderr.pipeThrough(new TextDecoderStream())) this.logged += chunk
  }
}

async function serve(folder: string): Promise<void> {
  const say = (level: string) => (message: string) => console.error(`${level}: ${message}`)
  const logger = { debug() {}, info: say("info"), warn: say("warn"), error: say("error") }
  const limits = { connectTimeoutSeconds: CONNECT_TIMEOUT_SECONDS, maximumPacketBytes: 268_435_455 }
  const broker = new Broker({ limits, logger })
  const common = { port: 0, auth: allowAll() }
  const tls = { cert: join(folder, "server.crt"), key: join(folder, "server.key") }
  const proxy = { trusted: ["127.0.0.1"] }
  const users = join(folder, `users-${process.pid}.txt`)
  const hash = await Bun.password.hash(PASSWORD, PASSWORD_COST)
  writeFileSync(users, Array.from({ length: USERS }, (_, index) => `user ${index}:${hash}\n`).join(""))
  const listeners = {
    tcp: tcp(common),
    tls: tcp({ ...common, tls }),
    proxy: tcp({ ...common, proxy }),
    guarded: tcp({ ...common, proxy, auth: passwords(users) }),
    ws: websocket(common),
    wss: websocket({ ...common, tls }),
  }
  const ports: Record<string, number> = {}
  for (const [name, listener] of Object.entries(listeners)) ports[name] = (await broker.listen(listener)).port
  console.log(JSON.stringify(ports))
}

if (import.meta.main) {
  await serve(process.argv[2]!)
  await Bun.stdin.text()
  process.exit()
}

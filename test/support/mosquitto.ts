/** Debian's mosquitto as the broker, on a free port of loopback, with what it logs; ended with `await using`. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { eventually } from "../listeners/socket.ts"
import { temporaryFolder } from "./broker-process.ts"

export const mosquittoPath = Bun.which("mosquitto") ?? Bun.which("mosquitto", { PATH: "/usr/sbin:/usr/local/sbin" })

const MOST_ATTEMPTS = 10

export class Mosquitto implements AsyncDisposable {
  readonly port: number
  /** Every packet is a line in it. */
  logged = ""
  private readonly folder = temporaryFolder()
  private readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">

  private constructor(port: number, lines: readonly string[]) {
    this.port = port
    const configuration = join(this.folder.path, "mosquitto.conf")
    const user = process.getuid?.() === 0 ? ["user root"] : [] // who can read the test's files
    writeFileSync(configuration, [`listener ${port} 127.0.0.1`, ...user, ...lines, ""].join("\n"))
    this.child = Bun.spawn([mosquittoPath!, "-v", "-c", configuration], { stdio: ["ignore", "ignore", "pipe"] })
    void this.read()
  }

  /** Starts it with these lines of configuration behind `listener`, and waits until it takes connections. */
  static async start(...lines: string[]): Promise<Mosquitto> {
    for (let attempt = 1; ; attempt++) {
      const broker = new Mosquitto(freePort(), lines)
      await eventually(() => broker.logged.includes(" running") || broker.child.exitCode !== null, "mosquitto")
      if (broker.child.exitCode === null) return broker
      await broker[Symbol.asyncDispose]()
      if (attempt === MOST_ATTEMPTS) throw new Error(`mosquitto does not start: ${broker.logged}`)
    }
  }

  /** Waits until its log has that in it. */
  logs(text: string): Promise<void> {
    return eventually(() => this.logged.includes(text), `«${text}» in mosquitto's log`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.child.exited
    this.folder[Symbol.dispose]()
  }

  private async read(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) this.logged += text
  }
}

/** A port that nobody listens on now: mosquitto takes no 0. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  listener.stop(true)
  return listener.port
}

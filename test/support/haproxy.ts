/** haproxy in front of a listener, as it is packaged: on a free port of an address of its own, ended with `await using`. */
import { join } from "node:path"
import { temporaryFolder } from "./broker-process.ts"

/** Where it listens, so that its clients come from another address than it does. */
export const HAPROXY_ADDRESS = "127.0.0.3"
const PATIENCE_MS = 20_000

export class Haproxy {
  port = 0
  /** What it has said. */
  logged = ""
  private readonly folder = temporaryFolder()
  private child: Bun.Subprocess<"ignore", "ignore", "pipe"> | undefined

  /** Starts it in front of `port`, with these options of its `server` line, and waits until it takes connections. */
  static async start(port: number, serverOptions: string): Promise<Haproxy> {
    if (Bun.which("haproxy") === null) throw new Error("haproxy is not installed: apt-get install haproxy")
    const haproxy = new Haproxy()
    try {
      haproxy.port = freePort()
      await haproxy.run(port, serverOptions)
      return haproxy
    } catch (error) {
      await haproxy[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child?.kill("SIGKILL")
    await this.child?.exited
    this.folder[Symbol.dispose]()
  }

  private async run(port: number, serverOptions: string): Promise<void> {
    const configuration = join(this.folder.path, "haproxy.cfg")
    const lines = [
      "defaults",
      "  mode tcp",
      "  timeout connect 10s",
      "  timeout client 60s",
      "  timeout server 60s",
      "frontend mqtt",
      `  bind ${HAPROXY_ADDRESS}:${this.port}`,
      "  default_backend brokers",
      "backend brokers",
      `  server broker 127.0.0.1:${port} ${serverOptions}`,
      "",
    ]
    await Bun.write(configuration, lines.join("\n"))
    const child = Bun.spawn(["haproxy", "-db", "-q", "-f", configuration], { stdio: ["ignore", "ignore", "pipe"] })
    this.child = child
    void this.listen(child)
    const deadline = performance.now() + PATIENCE_MS
    while (!(await isListening(this.port))) {
      if (child.exitCode === null && performance.now() < deadline) await Bun.sleep(5)
      else throw new Error(`haproxy does not listen: ${this.logged}`)
    }
  }

  private async listen(child: Bun.Subprocess<"ignore", "ignore", "pipe">): Promise<void> {
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) this.logged += chunk
  }
}

/** A port that nobody listens on now: haproxy takes no 0. */
function freePort(): number {
  const listener = Bun.listen({ hostname: HAPROXY_ADDRESS, port: 0, socket: { data() {} } })
  listener.stop(true)
  return listener.port
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: HAPROXY_ADDRESS, port, socket: { data() {} } })
    socket.terminate()
    return true
  } catch {
    return false
  }
}

/**
 * HTTP, on `Bun.serve`: whether the broker lives, and whether it is ready. Containers, load balancers and watchdogs ask.
 */
import type { Server } from "bun"
import type { Listener, ListenerAddress } from "../broker/broker.ts"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { whyNoListener } from "./failure.ts"

export interface HttpOptions {
  /** Under which it appears in logs. Default: `http:{port}`. */
  id?: string
  /** Address to listen on. Default: 127.0.0.1. */
  hostname?: string
  /** Default: 8080. 0 takes a free one. */
  port?: number
}

class HttpListener implements Listener {
  readonly id: string
  private readonly hostname: string
  private readonly port: number
  private server: Server<undefined> | undefined

  constructor({ hostname = "127.0.0.1", port = 8080, id = `http:${port}` }: HttpOptions) {
    this.id = id
    this.hostname = hostname
    this.port = port
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { hostname, port } = this
    try {
      this.server = Bun.serve({
        hostname,
        port,
        routes: { "/healthz": () => text(200, "ok"), "/readyz": () => readiness(core) },
        fetch: () => text(404, "there is /healthz and /readyz"),
      })
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${hostname}:${port}: ${whyNoListener(error)}`, {
        cause: error,
      })
    }
    return { hostname: this.server.hostname!, port: this.server.port! }
  }

  close(): void {
    this.server?.stop()
  }
}

/** 503 while the store cannot be written or read: the broker serves what needs no disk, and refuses the rest. */
function readiness({ isReady }: Core): Response {
  return isReady ? text(200, "ready") : text(503, "the store fails")
}

function text(status: number, line: string): Response {
  return new Response(`${line}\n`, { status, headers: { "Cache-Control": "no-store" } })
}

/**
 * A listener for health checks: `/healthz` is 200 while the process serves, `/readyz` 200 or, while the store fails, 503.
 *
 * @example
 * await broker.listen(http({ port: 8080 }))
 */
export function http(options: HttpOptions = {}): Listener {
  return new HttpListener(options)
}

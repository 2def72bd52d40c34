/**
 * What is served over HTTP, on `Bun.serve`: MQTT over WebSocket, health checks, or both on one port.
 *
 * `/healthz` and `/readyz` are for containers, load balancers and watchdogs.
 */
import type { Server } from "bun"
import type { Listener, ListenerAddress } from "../broker/broker.ts"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { whyNoListener } from "./failure.ts"
import { type Keys, readKeys, type TlsOptions, watchKeys } from "./tls.ts"
import { checkDoor, type DoorData, type DoorOptions, text, WebSocketDoor } from "./websocket.ts"

interface WebOptions {
  /** Under which it appears in logs and to auth. Default: `ws:{port}`, `wss:{port}` or `http:{port}`. */
  id?: string
  /** Address to listen on. Default: 127.0.0.1. */
  hostname?: string
  /** 0 takes a free one. */
  port?: number
  /** Speak TLS. With `ca`, clients have to show a certificate that it has signed. */
  tls?: TlsOptions
}

/** `port`: default 1882. */
export interface WebSocketOptions extends WebOptions, DoorOptions {}

/** `port`: default 8080. */
export interface DashboardOptions extends WebOptions {
  /** Let MQTT clients in over WebSocket on the same port. Default: no. */
  websocket?: DoorOptions
}

class WebListener implements Listener {
  readonly id: string
  private readonly hostname: string
  private readonly port: number
  private readonly tls: TlsOptions | undefined
  private readonly door: DoorOptions | undefined
  private readonly isDashboard: boolean
  private server: Server<DoorData> | undefined
  private stopWatching: (() => void) | undefined

  constructor(options: WebOptions & { id: string; port: number }, door: DoorOptions | undefined, isDashboard: boolean) {
    if ("usernameFrom" in options || (door !== undefined && "usernameFrom" in door)) {
      throw new ManjuError(
        "INVALID_OPTION",
        "usernameFrom is for tcp(): Bun does not tell whose certificate a WebSocket has",
      )
    }
    if (door !== undefined) checkDoor(door)
    this.id = options.id
    this.hostname = options.hostname ?? "127.0.0.1"
    this.port = options.port
    this.tls = options.tls
    this.door = door
    this.isDashboard = isDashboard
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { tls } = this
    await core.auths.open(this.door?.auth)
    const door = this.door && new WebSocketDoor(core, this.id, this.door)
    const keys = tls && readKeys(tls)
    this.server = this.serve(core, door, keys, this.port)
    const port = this.server.port!
    if (tls !== undefined && keys !== undefined) {
      this.stopWatching = watchKeys(core, this.id, tls, keys, (renewed) => {
        void this.server?.stop() // lets go of the port; what is open stays
        this.server = this.serve(core, door, renewed, port)
      })
    }
    return { hostname: this.server.hostname!, port }
  }

  close(): void {
    this.stopWatching?.()
    void this.server?.stop()
  }

  private serve(core: Core, door: WebSocketDoor | undefined, tls: Keys | undefined, port: number): Server<DoorData> {
    const { hostname, isDashboard } = this
    const fetch = (request: Request, server: Server<DoorData>) => {
      const isForDoor = !isDashboard || request.headers.has("sec-websocket-key")
      if (door !== undefined && isForDoor) return door.upgrade(request, server)
      return text(404, "there is /healthz and /readyz")
    }
    const routes = isDashboard ? { "/healthz": () => text(200, "ok"), "/readyz": () => readiness(core) } : {}
    const error = (fault: unknown) => {
      core.onBug(fault)
      return text(500, "a fault of the broker's own")
    }
    // In development a fault shows strangers our sources; out of it a port may be taken twice unless that is forbidden.
    const common = { hostname, port, error, development: false, reusePort: false, ...(tls !== undefined && { tls }) }
    try {
      return door === undefined
        ? Bun.serve<DoorData>({ ...common, routes, fetch: () => text(404, "there is /healthz and /readyz") })
        : Bun.serve<DoorData>({ ...common, routes, fetch, websocket: door.handlers })
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${hostname}:${port}: ${whyNoListener(error)}`, {
        cause: error,
      })
    }
  }
}

/** 503 while the store cannot be written or read: the broker serves what needs no disk, and refuses the rest. */
function readiness({ isReady }: Core): Response {
  return isReady ? text(200, "ready") : text(503, "the store fails")
}

/**
 * A listener for MQTT over WebSocket. Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * await broker.listen(websocket({ port: 1882, auth: allowAll(), origins: ["https://app.example.com"] }))
 */
export function websocket(options: WebSocketOptions = {}): Listener {
  const { port = 1882, id = `${options.tls === undefined ? "ws" : "wss"}:${port}` } = options
  return new WebListener({ ...options, id, port }, options, false)
}

/**
 * A listener for HTTP: `/healthz` is 200 while the process serves, `/readyz` 200 or, while the store fails, 503. With
 * `websocket` MQTT clients come in on the same port.
 *
 * @example
 * await broker.listen(dashboard({ port: 8080, websocket: { auth: allowAll(), path: "/mqtt" } }))
 */
export function dashboard(options: DashboardOptions = {}): Listener {
  const { port = 8080, id = `http:${port}` } = options
  return new WebListener({ ...options, id, port }, options.websocket, true)
}

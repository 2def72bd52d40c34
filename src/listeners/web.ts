/**
 * What is served over HTTP, on `Bun.serve`: MQTT over WebSocket, whatever else a handler answers (`src/http/` has one), or both
 * on one port.
 */
import type { Server } from "bun"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { resolveListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import { openServing } from "../broker/serving.ts"
import { whyNoListener } from "./failure.ts"
import { type Keys, readKeys, type TlsOptions, watchKeys } from "./tls.ts"
import { checkDoor, type DoorData, type DoorOptions, text, WebSocketDoor } from "./websocket.ts"

/** Where a listener over HTTP is, and how it is spoken to. */
export interface WebOptions {
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

type Answer = (request: Request, server: Server<DoorData>) => Response | Promise<Response>

/** Answers the requests that are not for WebSockets. */
export interface WebHandler {
  /** By path, as `Bun.serve` takes them: what comes to these is never for WebSockets. */
  readonly routes: Record<string, Answer>
  /** The rest. */
  readonly fetch: Answer
  /** No request comes any more: what is being answered without an end ends. */
  close(): void
}

/** Makes a handler when the listener opens. */
export type OpenHandler = (core: Core) => WebHandler

/** A body has room for a message of the largest size, in base64, and what else is said of it. */
const bodyBytes = (maximumPacketBytes: number) => 2 * maximumPacketBytes + 65_536

/** A listener over HTTP, with a door for WebSockets, a handler for the rest, or both. */
export class WebListener implements Listener {
  readonly id: string
  private readonly hostname: string
  private readonly port: number
  private readonly tls: TlsOptions | undefined
  private readonly door: DoorOptions | undefined
  private readonly openHandler: OpenHandler | undefined
  private handler: WebHandler | undefined
  private server: Server<DoorData> | undefined
  private isClosed = false
  private stopWatching: (() => void) | undefined

  constructor(
    options: WebOptions & { id: string; port: number },
    door: DoorOptions | undefined,
    openHandler?: OpenHandler,
  ) {
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
    this.openHandler = openHandler
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { tls } = this
    const door = this.door && (await this.openDoor(core, this.door))
    const keys = tls && readKeys(tls)
    this.handler = this.openHandler?.(core)
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
    this.isClosed = true
    this.stopWatching?.()
    this.handler?.close()
    void this.server?.stop()
  }

  private async openDoor(core: Core, options: DoorOptions): Promise<WebSocketDoor> {
    const { auth, limits } = options
    const serving = await openServing(core, { id: this.id, auth, limits: resolveListenerLimits(limits) })
    return new WebSocketDoor(core, serving, options)
  }

  /** The handler, whose answers end their connections once the listener is closed: who asks again asks somebody else. */
  private ending({ routes, fetch }: WebHandler): Omit<WebHandler, "close"> {
    const ending =
      (answer: Answer): Answer =>
      async (request, server) => {
        const response = await answer(request, server)
        if (this.isClosed) response.headers.set("Connection", "close")
        return response
      }
    const ended = Object.entries(routes).map(([path, answer]) => [path, ending(answer)] as const)
    return { routes: Object.fromEntries(ended), fetch: ending(fetch) }
  }

  private serve(core: Core, door: WebSocketDoor | undefined, tls: Keys | undefined, port: number): Server<DoorData> {
    const { hostname } = this
    const handler = this.handler && this.ending(this.handler)
    const fetch = (request: Request, server: Server<DoorData>) => {
      const isForDoor = handler === undefined || request.headers.has("sec-websocket-key")
      if (door !== undefined && isForDoor) return door.upgrade(request, server)
      return handler!.fetch(request, server)
    }
    const routes = handler?.routes ?? {}
    const error = (fault: unknown) => {
      core.onBug(fault)
      return text(500, "a fault of the broker's own")
    }
    const maxRequestBodySize = bodyBytes(core.limits.maximumPacketBytes)
    // In development a fault shows strangers our sources; out of it a port may be taken twice unless that is forbidden.
    const rest = { error, maxRequestBodySize, development: false, reusePort: false, ...(tls !== undefined && { tls }) }
    const common = { hostname, port, ...rest }
    try {
      return door === undefined
        ? Bun.serve<DoorData>({ ...common, routes, fetch: handler!.fetch })
        : Bun.serve<DoorData>({ ...common, routes, fetch, websocket: door.handlers })
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${hostname}:${port}: ${whyNoListener(error)}`, {
        cause: error,
      })
    }
  }
}

/**
 * A listener for MQTT over WebSocket. Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * await broker.listen(websocket({ port: 1882, auth: allowAll(), origins: ["https://app.example.com"] }))
 */
export function websocket(options: WebSocketOptions = {}): Listener {
  const { port = 1882, id = `${options.tls === undefined ? "ws" : "wss"}:${port}` } = options
  return new WebListener({ ...options, id, port }, options)
}

import type { Server, WebSocketHandler } from "bun"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { resolveListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import { openServing } from "../broker/serving.ts"
import { checkDoor, type DoorData, type DoorOptions, text, WebSocketDoor } from "./websocket.ts"

/** What `upgrade()` takes; all of it has a default. */
export interface UpgradeOptions extends Omit<DoorOptions, "path"> {
  /** Under which it appears in logs and to auth. Default: `upgrade`. */
  id?: string
}

/**
 * The server that `fetch` is given: `Bun.serve`'s fits. It is said in our own words, so that a service needs no types of Bun to use the
 * rest of manju.
 *
 * @example
 * const mqtt = upgrade({ auth })
 * const toMqtt = (request: Request, server: UpgradeServer) => mqtt.fetch(request, server) ?? new Response()
 */
export interface UpgradeServer {
  upgrade(request: Request, options: object): boolean
  requestIP(request: Request): { readonly address: string } | null
}

/**
 * The `websocket` for `Bun.serve`, for nobody else to look into.
 *
 * @example
 * const mqtt = upgrade({ auth })
 * await broker.listen(mqtt)
 * Bun.serve({ port: 3000, fetch: (request, server) => mqtt.fetch(request, server), websocket: mqtt.websocket })
 */
export interface UpgradeHandlers {
  message?(socket: never, data: never): void
}

/** A door for MQTT in a `Bun.serve` of the service's own; made by `upgrade()`, opened by `broker.listen`. */
export interface UpgradeListener extends Listener {
  /** Answers the requests of the path that is MQTT's: what is a WebSocket handshake becomes one, the rest is told what is wrong. */
  readonly fetch: (request: Request, server: UpgradeServer) => Response | undefined
  /** What the server needs to know. Throws `CLOSED` before `broker.listen` has resolved. */
  readonly websocket: UpgradeHandlers
}

class Upgrade implements UpgradeListener {
  readonly id: string
  private readonly options: UpgradeOptions
  private door: WebSocketDoor | undefined
  private isOpen = false

  constructor(options: UpgradeOptions) {
    checkDoor(options)
    this.id = options.id ?? "upgrade"
    this.options = options
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { id, options } = this
    const { auth, limits } = options
    const serving = await openServing(core, { id, auth, limits: resolveListenerLimits(limits) })
    this.door = new WebSocketDoor(core, serving, options)
    this.isOpen = true
    return { hostname: id, port: 0 }
  }

  close(): void {
    this.isOpen = false
  }

  fetch = (request: Request, server: UpgradeServer): Response | undefined => {
    if (this.door === undefined || !this.isOpen) return text(503, "there is no broker")
    return this.door.upgrade(request, server as Server<DoorData>)
  }

  get websocket(): WebSocketHandler<DoorData> {
    if (this.door !== undefined) return this.door.handlers
    throw new ManjuError("CLOSED", `${this.id} opens with broker.listen`)
  }
}

/**
 * MQTT over WebSocket on a port that a service of yours has already: give `fetch` the requests for it, and `websocket` to the server.
 * Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * const mqtt = upgrade({ auth: allowAll() })
 * await broker.listen(mqtt)
 * Bun.serve({
 *   port: 3000,
 *   routes: { "/mqtt": mqtt.fetch, "/": new Response("the service itself") },
 *   websocket: mqtt.websocket,
 * })
 */
export function upgrade(options: UpgradeOptions = {}): UpgradeListener {
  return new Upgrade(options)
}

/**
 * MQTT over WebSocket, on `Bun.serve`. MQTT 5 §6
 *
 * The frames of the client are a stream of bytes: a packet may stand in several of them, several packets in one. To the
 * client goes a frame a turn. A frame is either taken whole, into Bun's buffer if the socket is full, or not at all; after
 * one that had to be buffered nothing more is written until that buffer is empty.
 *
 * While a client has to wait, for an auth, for the disk or for its turn, its frames are read all the same, and held: so its pings are
 * answered. It is not read from any more when it has sent more than a packet and a backlog of the largest size. A close frame comes behind
 * the frames before it: what they say is worked on, also when the client has had to wait. Without one the connection has broken.
 *
 * Bun shows a frame when all of it is there, and has one bound for those of a whole server: of strangers, too, it holds frames
 * of twice the largest packet, where over TCP a CONNECT is held up to 256 KiB. What is announced costs nothing; what has come
 * costs as much as it is (100 strangers, each with 4 MiB sent: 400 MiB), and goes with the connection, at the latest when the
 * time to CONNECT is over. So it is what the network brings in `connectTimeoutSeconds`, at most `maximumConnections` times a
 * frame. To turn strangers away by their number instead would let a few who send nothing shut everybody out.
 *
 * A browser lets any page open a WebSocket to any host, so who lets everybody in on loopback lets in every page that its
 * user looks at. Pages of other hosts are therefore refused unless their origin is listed.
 */
import { isIP } from "node:net"
import type { Server, ServerWebSocket, WebSocketHandler } from "bun"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import { sourceOf } from "../broker/log/limiter.ts"
import { brief } from "../broker/log/who.ts"
import type { Auth } from "../broker/ports.ts"
import type { Serving } from "../broker/serving.ts"
import { BlockPool, Connection, type Transport } from "../connection/index.ts"
import { sayBroken } from "../connection/lines.ts"
import { Holding } from "./holding.ts"

/** Who comes in over WebSocket, where, and what they are offered. */
export interface DoorOptions {
  /** Who may connect and do what. Default: nobody. */
  auth?: Auth
  /** What clients are offered. */
  limits?: Partial<ListenerLimits>
  /** The path of the URL. Default: any. */
  path?: string
  /**
   * Origins of pages that may connect, such as `https://app.example.com`; `*` for all. Default: pages that come from where
   * they connect to, by IP address or as localhost. Clients that are no browsers send no origin and are not asked for one.
   */
  origins?: readonly string[]
}

/** What the client asks for, best first: the name that MQTT has since 3.1.1, and the one it had before. [MQTT-6.0.0-3] */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"]
const NORMAL = 1000
const UNSUPPORTED_DATA = 1003
/** What stands for the code where there was no close frame, or nothing that was WebSocket. RFC 6455 §7.1.5 */
const ABNORMAL = 1006
/** A frame may hold more than one packet. */
const SMALLEST_FRAME_LIMIT_BYTES = 1_048_576

/** What a WebSocket of ours carries: its transport and connection, once it is open. */
export interface DoorData {
  transport: WebSocketTransport | undefined
  connection: Connection | undefined
}

class WebSocketTransport extends Holding implements Transport {
  readonly remoteAddress: string
  /** The last frame went into Bun's buffer: no other before that is empty. */
  isFull = false
  private isStopped = false
  private readonly socket: ServerWebSocket<DoorData>

  constructor(socket: ServerWebSocket<DoorData>) {
    super()
    this.socket = socket
    this.remoteAddress = socket.remoteAddress
  }

  write(bytes: Buffer, start: number, end: number): number {
    if (this.isFull) return 0
    const sent = this.socket.sendBinary(bytes.subarray(start, end))
    if (sent === 0) return -1 // closed
    this.isFull = sent < 0
    return end - start
  }

  /** More is held than may be: nothing more is read before the client has its turn. */
  stop(): void {
    if (this.isStopped) return
    this.isStopped = true
    this.socket.pause()
  }

  override resume(): void {
    super.resume()
    if (!this.isStopped) return
    this.isStopped = false
    this.socket.resume()
  }

  end(): void {
    this.socket.close(NORMAL)
  }

  destroy(): void {
    this.socket.terminate()
  }

  closed(code: number): void {
    if (code === ABNORMAL) this.broken()
    else this.ended()
  }

  protected override get connection(): Connection {
    return this.socket.data.connection!
  }
}

/** Where WebSockets come in: asked at each HTTP request, and told what comes over those that are open. */
export class WebSocketDoor {
  readonly handlers: WebSocketHandler<DoorData>
  private readonly core: Core
  private readonly serving: Serving
  private readonly path: string | undefined
  private readonly origins: readonly string[] | undefined
  private readonly pool = new BlockPool()

  constructor(core: Core, serving: Serving, { path, origins }: Pick<DoorOptions, "path" | "origins">) {
    this.core = core
    this.serving = serving
    this.path = path
    this.origins = origins
    this.handlers = {
      maxPayloadLength: Math.max(SMALLEST_FRAME_LIMIT_BYTES, 2 * core.limits.maximumPacketBytes),
      backpressureLimit: 0, // the outbox has its own
      idleTimeout: 0, // MQTT has its keep-alive
      perMessageDeflate: false,
      open: (socket) => this.open(socket),
      message: (socket, data) => this.receive(socket, data),
      drain: (socket) => drained(socket),
      close: (socket, code) => socket.data.transport?.closed(code),
    }
  }

  /** Turns a request into a WebSocket, or refuses to; undefined if it has become one. */
  upgrade(request: Request, server: Server<DoorData>): Response | undefined {
    const pathname = URL.parse(request.url)?.pathname // none where a Host header makes no URL
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return text(426, "MQTT over WebSocket is spoken here", { Upgrade: "websocket" })
    }
    if (this.path !== undefined && pathname !== this.path) return text(404, `MQTT is at ${this.path}`)
    if (!this.isAllowedOrigin(request)) {
      this.sayRefused(request.headers.get("origin") ?? "", server.requestIP(request)?.address ?? "unknown")
      return text(403, "pages of this origin may not connect")
    }
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim())
    const chosen = SUBPROTOCOLS.find((name) => offered.includes(name))
    if (chosen === undefined) return text(400, `the subprotocol must be ${SUBPROTOCOLS.join(" or ")}`) // [MQTT-6.0.0-3]
    const headers = { "Sec-WebSocket-Protocol": chosen } // [MQTT-6.0.0-4]
    const isUpgraded = server.upgrade(request, { headers, data: { transport: undefined, connection: undefined } })
    return isUpgraded ? undefined : text(400, "not a WebSocket handshake")
  }

  private open(socket: ServerWebSocket<DoorData>): void {
    const transport = new WebSocketTransport(socket)
    socket.data.transport = transport
    socket.data.connection = new Connection(this.core, transport, this.serving, this.pool)
  }

  private receive(socket: ServerWebSocket<DoorData>, data: string | Buffer): void {
    const { connection, transport } = socket.data
    if (connection === undefined || transport === undefined) return
    if (typeof data === "string") {
      sayBroken(connection.link, "misuse", "info", "a text frame")
      socket.close(UNSUPPORTED_DATA, "MQTT is binary") // [MQTT-6.0.0-1]
      return
    }
    const { maximumPacketBytes, maximumBacklogBytes } = this.core.limits
    const heldBytes = transport.hold(data)
    if (heldBytes === 0) connection.receive(data)
    else if (heldBytes > maximumPacketBytes + maximumBacklogBytes) transport.stop()
  }

  private sayRefused(origin: string, remoteAddress: string): void {
    const { logger } = this.core
    const { id } = this.serving
    if (!logger.admits("page", "info", sourceOf(remoteAddress))) return
    logger.info(
      `refused a page of ${JSON.stringify(brief(origin))} (${remoteAddress}) on ${id}: not among its origins; --origins adds it, in code the option origins`,
      { area: "listener", remoteAddress, listener: id },
    )
  }

  private isAllowedOrigin(request: Request): boolean {
    const origin = request.headers.get("origin")
    if (origin === null || this.origins?.includes("*")) return true
    if (this.origins !== undefined) return this.origins.includes(origin)
    const page = hostOf(origin)
    const host = hostOf(`http://${request.headers.get("host")}`)
    // A name could be made to point here by whoever owns it; an address could not.
    return page !== undefined && page === host && (page === "localhost" || isIP(page.replace(/^\[|\]$/g, "")) !== 0)
  }
}

function drained(socket: ServerWebSocket<DoorData>): void {
  const { transport, connection } = socket.data
  if (transport === undefined || socket.getBufferedAmount() > 0) return // Bun calls as soon as a part of it has gone
  transport.isFull = false
  connection?.drained()
}

function hostOf(url: string): string | undefined {
  return URL.parse(url)?.hostname
}

/** An answer that is not an upgrade. It ends the connection: what counts and times those that stay is the MQTT on them. */
export function text(status: number, line: string, headers: Record<string, string> = {}): Response {
  return new Response(`${line}\n`, {
    status,
    headers: { "Cache-Control": "no-store", Connection: "close", ...headers },
  })
}

/** Throws `INVALID_OPTION` for origins and paths that are none. */
export function checkDoor({ path, origins, limits }: DoorOptions): void {
  resolveListenerLimits(limits)
  if (path !== undefined && !path.startsWith("/")) {
    throw new ManjuError("INVALID_OPTION", `a WebSocket's path begins with /, unlike ${JSON.stringify(path)}`)
  }
  for (const origin of origins ?? []) {
    if (origin !== "*" && (origin.includes("*") || URL.parse(origin)?.origin !== origin)) {
      throw new ManjuError(
        "INVALID_OPTION",
        `origins are such as https://app.example.com, unlike ${JSON.stringify(origin)}`,
      )
    }
  }
}

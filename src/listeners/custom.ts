/**
 * A listener of the embedding service's own: whatever carries bytes in both directions can carry MQTT.
 *
 * The broker and the service never call into each other's middle. What the service hands over (bytes, that there is room
 * again, that it is over) is worked on in a microtask, in order, so that it may be handed over from anywhere, a hook or
 * `write` included. What the service's transport throws ends that connection, is logged, and is nobody else's.
 */

import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import type { Auth, Certificate } from "../broker/ports.ts"
import { openServing, type Serving } from "../broker/serving.ts"
import { BlockPool, Connection, type Transport } from "../connection/index.ts"
import { sayBroken } from "../connection/lines.ts"
import { Holding } from "./holding.ts"

/**
 * What has been accepted: the way in for what the client sends. All of it may be called at any time.
 *
 * @example
 * const carry = (accept: Accept, transport: Transport) => {
 *   const stream = accept(transport)
 *   duplex.on("data", (chunk) => stream.receive(chunk))
 *   duplex.on("drain", () => stream.drained())
 *   duplex.on("close", () => stream.closed())
 * }
 */
export interface Accepted {
  /** Bytes from the client, as they come; the broker's from now on, not to be written to. */
  receive(chunk: Uint8Array): void
  /** The transport takes bytes again, after a `write` that did not take all. */
  drained(): void
  /**
   * The stream is over, whoever has ended it: what has been received before is still worked on. With an error it has
   * broken, and is not. What comes afterwards is ignored. After `destroy` it goes without saying.
   */
  closed(error?: unknown): void
}

/**
 * Takes over a stream that somebody has opened: the client has `connectTimeoutSeconds` for its CONNECT from now on. Throws
 * `CLOSED` when the listener has been closed.
 */
export type Accept = (transport: Transport) => Accepted

/** What a listener is made of. An instance of a class will do: the functions are called on it. */
export interface CustomOptions {
  /** Under which it appears in logs and to auth. Default: `custom`. */
  readonly id?: string
  /** Who may connect and do what. Default: nobody. */
  readonly auth?: Auth
  /** What clients of this listener are offered. */
  readonly limits?: Partial<ListenerLimits>
  /**
   * Begins to listen: whoever comes from now on is given to `accept`. What it returns is where that is, for the caller of
   * `broker.listen`; default: the id, and port 0. What it throws, or rejects with, becomes `LISTEN_FAILED`.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing at all will do
  open(accept: Accept): ListenerAddress | undefined | void | PromiseLike<ListenerAddress | undefined | void>
  /** Lets nobody in any more. Connections stay: the broker ends them itself. */
  close?(): void
}

class CustomListener implements Listener {
  readonly id: string
  private readonly options: CustomOptions
  private readonly limits: ListenerLimits
  private core: Core | undefined
  private isOpen = false

  constructor(options: CustomOptions) {
    this.id = options.id ?? "custom"
    this.options = options
    this.limits = resolveListenerLimits(options.limits)
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { id, limits, options } = this
    const serving = await openServing(core, { id, auth: options.auth, limits })
    const pool = new BlockPool()
    this.core = core
    this.isOpen = true
    try {
      const address = await options.open((transport) => this.accept(core, transport, serving, pool))
      return address ?? { hostname: id, port: 0 }
    } catch (error) {
      this.isOpen = false
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${id}: ${messageOf(error)}`, { cause: error })
    }
  }

  close(): void {
    this.isOpen = false
    Promise.try(() => this.options.close?.()).catch((error) =>
      this.core?.logger.error(`closing ${this.id} has failed: ${messageOf(error)}`, {
        area: "listener",
        listener: this.id,
      }),
    )
  }

  private accept(core: Core, transport: Transport, serving: Serving, pool: BlockPool): Accepted {
    if (this.isOpen) return new Stream(core, transport, serving, pool)
    throw new ManjuError("CLOSED", `${this.id} has been closed and accepts nobody`)
  }
}

/** To its connection a transport, to the service the way in. */
class Stream extends Holding implements Transport, Accepted {
  private isOver = false
  private readonly core: Core
  private readonly transport: Transport
  protected override readonly connection: Connection

  constructor(core: Core, transport: Transport, serving: Serving, pool: BlockPool) {
    super()
    this.core = core
    this.transport = transport
    this.connection = new Connection(core, this, serving, pool)
  }

  get remoteAddress(): string {
    return this.transport.remoteAddress
  }

  get certificate(): Certificate | undefined {
    return this.transport.certificate
  }

  write(bytes: Buffer, start: number, end: number): number {
    return this.attempt(() => this.transport.write(bytes, start, end)) ?? -1
  }

  override pause(): void {
    super.pause()
    this.attempt(() => this.transport.pause())
  }

  override resume(): void {
    super.resume()
    this.attempt(() => this.transport.resume())
  }

  end(): void {
    this.attempt(() => this.transport.end())
  }

  destroy(): void {
    if (!this.isOver) this.sever()
    queueMicrotask(() => this.broken())
  }

  receive(chunk: Uint8Array): void {
    if (this.isOver) return
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const waitingBytes = this.postpone(bytes)
    const { maximumPacketBytes, maximumBacklogBytes } = this.core.limits
    if (waitingBytes <= maximumPacketBytes + maximumBacklogBytes) return
    sayBroken(this.connection.link, "misuse", "warn", "it sends on while it has to wait")
    this.destroy()
  }

  drained(): void {
    queueMicrotask(() => this.connection.drained())
  }

  closed(error?: unknown): void {
    if (this.isOver) return
    this.isOver = true
    if (error !== undefined) sayBroken(this.connection.link, "transport", "debug", messageOf(error))
    queueMicrotask(() => (error === undefined ? this.ended() : this.broken()))
  }

  private sever(): void {
    this.isOver = true
    try {
      this.transport.destroy()
    } catch (error) {
      this.complain(error)
    }
  }

  /** Of a stream that is over nothing is asked, and one that throws is over. */
  private attempt<A>(act: () => A): A | undefined {
    if (this.isOver) return undefined
    try {
      return act()
    } catch (error) {
      this.complain(error)
      this.destroy()
      return undefined
    }
  }

  private complain(error: unknown): void {
    sayBroken(this.connection.link, "transport", "error", `its transport has failed: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * A listener over a transport of your own: a tunnel, a message port, a serial line, or memory. For each client that comes,
 * give its stream to `accept`, and hand what the client sends to what that returns. Throws `INVALID_OPTION` for limits
 * that make no sense.
 *
 * @example
 * import type { MessagePort } from "node:worker_threads"
 *
 * // MQTT for the threads of this process. A MessagePort takes whatever it is given, so that nothing ever has to drain.
 * await broker.listen(custom({
 *   id: "threads",
 *   auth: allowAll(),
 *   open(accept) {
 *     worker.on("message", (port: MessagePort) => {
 *       const stream = accept({
 *         remoteAddress: `thread ${worker.threadId}`,
 *         write(bytes, start, end) {
 *           port.postMessage(Uint8Array.from(bytes.subarray(start, end)))
 *           return end - start
 *         },
 *         pause() {}, // what comes all the same is held, up to a bound
 *         resume() {},
 *         end: () => port.close(),
 *         destroy: () => port.close(),
 *       })
 *       port.on("message", (chunk: Uint8Array) => stream.receive(chunk))
 *       port.on("close", () => stream.closed())
 *     })
 *   },
 * }))
 *
 * @example
 * // A gateway behind a firewall calls out to a relay; whoever the relay puts through talks MQTT.
 * await broker.listen(custom({
 *   id: "relay",
 *   auth: passwords("users.txt"),
 *   async open(accept) {
 *     await Bun.connect<Accepted>({
 *       hostname: "relay.example.com",
 *       port: 4000,
 *       socket: {
 *         open(socket) {
 *           socket.data = accept({
 *             remoteAddress: socket.remoteAddress,
 *             write: (bytes, start, end) => socket.write(bytes, start, end - start),
 *             pause: () => socket.pause(),
 *             resume: () => socket.resume(),
 *             end: () => socket.shutdown(),
 *             destroy: () => socket.terminate(),
 *           })
 *         },
 *         data: (socket, chunk) => socket.data.receive(chunk),
 *         drain: (socket) => socket.data.drained(),
 *         close: (socket, error) => socket.data?.closed(error),
 *       },
 *     })
 *     return { hostname: "relay.example.com", port: 4000 }
 *   },
 * }))
 */
export function custom(options: CustomOptions): Listener {
  return new CustomListener(options)
}

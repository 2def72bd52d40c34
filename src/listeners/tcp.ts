/**
 * MQTT over TCP, on `Bun.listen`: bytes in, bytes out, and nothing of the protocol.
 *
 * Bun hands over a fresh buffer per read, which becomes the connection's. A write may take less than it is given; the
 * outbox keeps the rest until `drain`.
 */
import type { Socket, SocketHandler, TCPSocketListener } from "bun"
import type { Listener, ListenerAddress } from "../broker/broker.ts"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import type { Auth } from "../broker/ports.ts"
import type { Serving } from "../broker/serving.ts"
import { BlockPool, Connection, type Transport } from "../connection/index.ts"
import { whyNoListener } from "./failure.ts"

export interface TcpOptions {
  /** Under which it appears in logs and to auth. Default: `tcp:{port}`. */
  id?: string
  /** Address to listen on. Default: 127.0.0.1. */
  hostname?: string
  /** Default: 1883. 0 takes a free one. */
  port?: number
  /** Who may connect and do what. Default: nobody. */
  auth?: Auth
  /** What clients of this listener are offered. */
  limits?: Partial<ListenerLimits>
}

/** Bun's types lag behind these two. */
type PausableSocket = Socket<Connection> & { pause(): void; resume(): void }

class TcpTransport implements Transport {
  readonly remoteAddress: string
  private readonly socket: PausableSocket

  constructor(socket: Socket<Connection>) {
    this.socket = socket as PausableSocket
    this.remoteAddress = socket.remoteAddress
  }

  write(bytes: Buffer, start: number, end: number): number {
    return this.socket.write(bytes, start, end - start)
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.shutdown()
  }

  destroy(): void {
    this.socket.terminate()
  }
}

class TcpListener implements Listener {
  readonly id: string
  private readonly options: TcpOptions
  private readonly limits: ListenerLimits
  private server: TCPSocketListener<Connection> | undefined

  constructor(options: TcpOptions) {
    this.options = options
    this.limits = resolveListenerLimits(options.limits)
    this.id = options.id ?? `tcp:${options.port ?? 1883}`
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { hostname = "127.0.0.1", port = 1883, auth } = this.options
    const serving: Serving = { id: this.id, auth, limits: this.limits, connections: 0 }
    try {
      this.server = Bun.listen({ hostname, port, socket: handlers(core, serving) })
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${hostname}:${port}: ${whyNoListener(error)}`, {
        cause: error,
      })
    }
    return { hostname: this.server.hostname, port: this.server.port }
  }

  close(): void {
    this.server?.stop()
  }
}

function handlers(core: Core, serving: Serving): SocketHandler<Connection> {
  const pool = new BlockPool()
  return {
    binaryType: "buffer",
    open(socket) {
      socket.setNoDelay(true)
      socket.data = new Connection(core, new TcpTransport(socket), serving, pool)
    },
    data(socket, chunk) {
      socket.data.receive(chunk)
    },
    drain(socket) {
      socket.data.drained()
    },
    close(socket) {
      socket.data.closed()
    },
    error(socket, error) {
      core.logger.debug(`socket error from ${socket.remoteAddress}: ${error.message}`)
    },
  }
}

/**
 * A listener for MQTT over TCP. Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: allowAll(), limits: { maximumQoS: 1 } }))
 */
export function tcp(options: TcpOptions = {}): Listener {
  return new TcpListener(options)
}

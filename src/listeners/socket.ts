/**
 * MQTT over stream sockets, on `Bun.listen`: TCP, TLS and Unix domain sockets. Bytes in, bytes out, and nothing of the protocol.
 *
 * Bun sets TCP_NODELAY on what it accepts, and hands over a fresh buffer per read, which becomes the connection's. A write may take
 * less than it is given; the outbox keeps the rest until `drain`. A connection counts, and its time to CONNECT runs, from the moment it is accepted:
 * a TLS handshake or a PROXY header that never comes ends like a CONNECT that never comes. The PROXY header only stands
 * before what the connection gets.
 */
import type { Socket, SocketHandler } from "bun"
import type { Core } from "../broker/core.ts"
import { sourceOf } from "../broker/log/limiter.ts"
import type { Certificate } from "../broker/ports.ts"
import type { Serving } from "../broker/serving.ts"
import { BlockPool, Connection, type Transport } from "../connection/index.ts"
import { readProxyHeader } from "./proxy.ts"
import { certificateOf, whyNoHandshake } from "./tls.ts"

/** Bun's types lag behind these. */
type WholeSocket = Socket<Receiver> & {
  pause(): void
  resume(): void
  getPeerCertificate?(): object | null
}

/** Who gets what comes from a socket: a connection, or before it what reads the PROXY header. */
interface Receiver {
  receive(chunk: Buffer): void
  drained(): void
  ended(): void
  closed(): void
}

export interface SocketServing {
  readonly core: Core
  readonly serving: Serving
  /** Whether clients have to show a certificate. */
  readonly wantsCertificate: boolean
  /** Which proxies may say who a client is; undefined: nobody has to. */
  readonly isTrustedProxy: ((address: string) => boolean) | undefined
  /** What stands for the address of a client that has none: one of a Unix socket, or one that has gone already. */
  readonly addressless: "unix" | "unknown"
}

class SocketTransport implements Transport {
  remoteAddress: string
  private readonly socket: WholeSocket
  private readonly hasCertificate: boolean

  constructor(socket: WholeSocket, remoteAddress: string, hasCertificate: boolean) {
    this.socket = socket
    this.remoteAddress = remoteAddress
    this.hasCertificate = hasCertificate
  }

  get certificate(): Certificate | undefined {
    return this.hasCertificate && this.socket.authorized ? certificateOf(this.socket.getPeerCertificate?.()) : undefined
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

/** Reads the PROXY header; what comes behind it is the connection's, which then has the address that the header says. */
class Preface implements Receiver {
  private bytes: Buffer = Buffer.alloc(0)
  private readonly connection: Connection
  private readonly begin: (address: string | undefined) => void
  private readonly refuse: (why: string) => void

  constructor(connection: Connection, begin: Preface["begin"], refuse: Preface["refuse"]) {
    this.connection = connection
    this.begin = begin
    this.refuse = refuse
  }

  receive(chunk: Buffer): void {
    this.bytes = this.bytes.length === 0 ? chunk : Buffer.concat([this.bytes, chunk])
    const header = readProxyHeader(this.bytes)
    if (header === "incomplete") return
    if (header === "invalid") {
      this.refuse("not a PROXY header")
      return
    }
    this.begin(header.address)
    if (this.bytes.length > header.length) this.connection.receive(this.bytes.subarray(header.length))
  }

  drained(): void {
    this.connection.drained()
  }

  ended(): void {
    this.connection.ended()
  }

  closed(): void {
    this.connection.closed()
  }
}

export function socketHandlers(socketServing: SocketServing): SocketHandler<Receiver> {
  const { core, serving, wantsCertificate, isTrustedProxy, addressless } = socketServing
  const pool = new BlockPool()
  const addressOf = (socket: Socket<Receiver>) => socket.remoteAddress ?? addressless
  const refuse = (socket: Socket<Receiver>, why: string) => {
    const level = socket.remoteAddress === undefined ? "debug" : "info" // a health check that only connects, say
    const remoteAddress = addressOf(socket)
    if (core.logger.admits("handshake", level, sourceOf(remoteAddress))) {
      const details = { area: "listener", remoteAddress, listener: serving.id } as const
      core.logger[level](`closing ${remoteAddress} on ${serving.id}: ${why}`, details)
    }
    socket.terminate()
  }
  const awaitProxyHeader = (
    socket: Socket<Receiver>,
    connection: Connection,
    transport: SocketTransport,
    isTrusted: (address: string) => boolean,
  ) => {
    const address = transport.remoteAddress
    const begin = (client = address) => {
      transport.remoteAddress = client
      socket.data = connection
    }
    socket.data = new Preface(connection, begin, (why) => refuse(socket, why))
    if (!isTrusted(address)) refuse(socket, "not a trusted proxy")
  }
  return {
    binaryType: "buffer",
    open(socket) {
      const transport = new SocketTransport(socket as WholeSocket, addressOf(socket), wantsCertificate)
      const connection = new Connection(core, transport, serving, pool)
      socket.data = connection
      if (isTrustedProxy !== undefined) awaitProxyHeader(socket, connection, transport, isTrustedProxy)
    },
    handshake(socket, isDone, error) {
      if (!isDone) refuse(socket, `TLS: ${whyNoHandshake(error)}`)
      else if (wantsCertificate && !socket.authorized) refuse(socket, `client certificate: ${error?.message ?? "none"}`)
    },
    data(socket, chunk) {
      socket.data.receive(chunk)
    },
    drain(socket) {
      socket.data.drained()
    },
    close(socket, error) {
      // A TLS socket closes although it is paused, if its close_notify comes in one read with what it has to wait for.
      if (error === undefined) socket.data.ended()
      else socket.data.closed()
    },
    error(socket, error) {
      const remoteAddress = addressOf(socket)
      if (!core.logger.admits("socket", "debug", sourceOf(remoteAddress))) return
      const details = { area: "listener", remoteAddress, listener: serving.id } as const
      core.logger.debug(`socket error from ${remoteAddress} on ${serving.id}: ${error.message}`, details)
    },
  }
}

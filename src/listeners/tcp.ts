import type { TCPSocketListener } from "bun"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import type { Auth } from "../broker/ports.ts"
import { openServing } from "../broker/serving.ts"
import { whyNoListener } from "./failure.ts"
import { type ProxyOptions, trustedBy } from "./proxy.ts"
import { socketHandlers } from "./socket.ts"
import { type Keys, readKeys, type TlsOptions, watchKeys } from "./tls.ts"

/** What `tcp()` takes; all of it has a default. */
export interface TcpOptions {
  /** Under which it appears in logs and to auth. Default: `tcp:{port}`, or `tls:{port}`. */
  id?: string
  /** Address to listen on. Default: 127.0.0.1. */
  hostname?: string
  /** Default: 1883, with TLS 8883. 0 takes a free one. */
  port?: number
  /** Who may connect and do what. Default: nobody. */
  auth?: Auth
  /** What clients of this listener are offered. */
  limits?: Partial<ListenerLimits>
  /** Speak TLS. With `ca`, clients have to show a certificate that it has signed. */
  tls?: TlsOptions
  /**
   * Which name in the client's certificate is its user name, whatever its CONNECT says. Of several common names or alternative names
   * it is the first, as they stand in the certificate, and an alternative name is what stands behind its kind, whatever that is: for
   * `DNS:a`, `email:a` and `URI:a` the user `a`. So trust a CA that checks each name it signs. Default: none. Wants `tls.ca`.
   */
  usernameFrom?: "commonName" | "subjectAltName"
  /** Take the client's address from the PROXY protocol of a load balancer. Not together with `tls`. Default: no. */
  proxy?: ProxyOptions
}

class TcpListener implements Listener {
  readonly id: string
  private readonly options: TcpOptions
  private readonly port: number
  private readonly hostname: string
  private readonly limits: ListenerLimits
  private readonly isTrustedProxy: ((address: string) => boolean) | undefined
  private server: TCPSocketListener<unknown> | undefined
  private stopWatching: (() => void) | undefined

  constructor(options: TcpOptions) {
    const { tls, usernameFrom, proxy, port = tls === undefined ? 1883 : 8883, hostname = "127.0.0.1" } = options
    const refuse = (what: string) => {
      throw new ManjuError("INVALID_OPTION", what)
    }
    if (!["commonName", "subjectAltName", undefined].includes(usernameFrom))
      refuse(`usernameFrom takes commonName or subjectAltName, not ${JSON.stringify(usernameFrom)}`)
    if (usernameFrom !== undefined && tls?.ca === undefined)
      refuse("usernameFrom needs tls.ca: whose certificates to believe")
    if (proxy !== undefined && tls !== undefined) refuse("proxy and tls do not go together: let the proxy speak TLS")
    this.options = options
    this.port = port
    this.hostname = hostname
    this.limits = resolveListenerLimits(options.limits)
    this.id = options.id ?? `${tls === undefined ? "tcp" : "tls"}:${port}`
    this.isTrustedProxy = proxy && trustedBy(proxy)
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { auth, tls, usernameFrom } = this.options
    const serving = await openServing(core, { id: this.id, auth, limits: this.limits, usernameFrom })
    const { isTrustedProxy } = this
    const wantsCertificate = tls?.ca !== undefined
    const handlers = socketHandlers({ core, serving, wantsCertificate, isTrustedProxy, addressless: "unknown" })
    const keys = tls && readKeys(tls)
    this.server = this.listen(handlers, keys, this.port)
    const { hostname, port } = this.server
    if (tls !== undefined && keys !== undefined) {
      this.stopWatching = watchKeys(core, this.id, tls, keys, (renewed) => {
        this.server?.stop() // lets go of the port; what is open stays
        this.server = this.listen(handlers, renewed, port)
      })
    }
    return { hostname, port }
  }

  close(): void {
    this.stopWatching?.()
    this.server?.stop()
  }

  private listen(
    socket: ReturnType<typeof socketHandlers>,
    tls: Keys | undefined,
    port: number,
  ): TCPSocketListener<unknown> {
    const { hostname } = this
    try {
      return Bun.listen({ hostname, port, socket, ...(tls !== undefined && { tls }) })
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${hostname}:${port}: ${whyNoListener(error)}`, {
        cause: error,
      })
    }
  }
}

/**
 * A listener for MQTT over TCP, or over TLS. Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: allowAll(), limits: { maximumQoS: 1 } }))
 * await broker.listen(tcp({ port: 8883, auth, tls: { cert: "server.crt", key: "server.key" } }))
 */
export function tcp(options: TcpOptions = {}): Listener {
  return new TcpListener(options)
}

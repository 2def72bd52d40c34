import { chmodSync, existsSync, rmSync, statSync } from "node:fs"
import type { UnixSocketListener } from "bun"
import type { Listener, ListenerAddress } from "../broker/broker.ts"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import type { Auth } from "../broker/ports.ts"
import type { Serving } from "../broker/serving.ts"
import { whyNoListener } from "./failure.ts"
import { socketHandlers } from "./socket.ts"

/** What `sockaddr_un` holds, its NUL included. */
const LONGEST_PATH_BYTES = 107

export interface UnixOptions {
  /** Where the socket is made. What a broker that is gone has left there is replaced; a live one is an error. */
  path: string
  /** Who may open it, as in chmod. Default: 0o660. */
  mode?: number
  /** Under which it appears in logs and to auth. Default: `unix:{path}`. */
  id?: string
  /** Who may connect and do what. Default: nobody. */
  auth?: Auth
  /** What clients of this listener are offered. */
  limits?: Partial<ListenerLimits>
}

class UnixListener implements Listener {
  readonly id: string
  private readonly path: string
  private readonly mode: number
  private readonly auth: Auth | undefined
  private readonly limits: ListenerLimits
  private server: UnixSocketListener<unknown> | undefined

  constructor({ path, mode = 0o660, id = `unix:${path}`, auth, limits }: UnixOptions) {
    if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
      throw new ManjuError("INVALID_OPTION", `a socket's path has at most ${LONGEST_PATH_BYTES} bytes: ${path}`)
    }
    this.id = id
    this.path = path
    this.mode = mode
    this.auth = auth
    this.limits = resolveListenerLimits(limits)
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { id, auth, limits, path, mode } = this
    await core.auths.open(auth)
    const serving: Serving = { id, auth, limits, connections: 0 }
    const socket = socketHandlers({ core, serving, wantsCertificate: false, isTrustedProxy: undefined })
    await removeStale(path)
    const umask = process.umask(0o777 & ~mode) // nobody slips in between bind and chmod
    try {
      this.server = Bun.listen({ unix: path, socket })
      chmodSync(path, mode)
    } catch (error) {
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${path}: ${whyNoListener(error)}`, { cause: error })
    } finally {
      process.umask(umask)
    }
    return { hostname: path, port: 0 }
  }

  close(): void {
    this.server?.stop()
    rmSync(this.path, { force: true })
  }
}

/** Removes a socket that nobody listens on. Throws `LISTEN_FAILED` for one that is alive, and for a file of another kind. */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return
  if (!statSync(path).isSocket()) throw new ManjuError("LISTEN_FAILED", `${path} is there already and is no socket`)
  try {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } })
    socket.terminate()
  } catch {
    rmSync(path)
    return
  }
  throw new ManjuError("LISTEN_FAILED", `somebody listens on ${path} already`)
}

/**
 * A listener for MQTT over a Unix domain socket. Throws `INVALID_OPTION` for a path that is too long.
 *
 * @example
 * await broker.listen(unix({ path: "/run/manju.sock", mode: 0o600, auth: allowAll() }))
 */
export function unix(options: UnixOptions): Listener {
  return new UnixListener(options)
}

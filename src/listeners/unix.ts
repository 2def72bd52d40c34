import { chmodSync, existsSync, lstatSync, readFileSync, rmSync } from "node:fs"
import { resolve } from "node:path"
import type { UnixSocketListener } from "bun"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { type ListenerLimits, resolveListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import type { Auth } from "../broker/ports.ts"
import { openServing } from "../broker/serving.ts"
import { socketHandlers } from "./socket.ts"

/** What `sockaddr_un` holds beside a NUL. */
const LONGEST_PATH_BYTES = 107
/** Where Linux lists the sockets that are bound. */
const BOUND_SOCKETS = "/proc/net/unix"

/** What `unix()` takes. */
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
    if (path === "" || path.includes("\0") || Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
      throw new ManjuError(
        "INVALID_OPTION",
        `a socket's path has from 1 to ${LONGEST_PATH_BYTES} bytes, none of them 0, unlike ${JSON.stringify(path)}`,
      )
    }
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o777) {
      throw new ManjuError("INVALID_OPTION", `a socket's mode is from 0 to 0o777, such as 0o660, not ${mode}`)
    }
    this.id = id
    this.path = path
    this.mode = mode
    this.auth = auth
    this.limits = resolveListenerLimits(limits)
  }

  async open(core: Core): Promise<ListenerAddress> {
    const { id, auth, limits, path, mode } = this
    const serving = await openServing(core, { id, auth, limits })
    const isTrustedProxy = undefined
    const socket = socketHandlers({ core, serving, wantsCertificate: false, isTrustedProxy, addressless: "unix" })
    await removeStale(path)
    const umask = process.umask(0o777 & ~mode) // nobody slips in between bind and chmod
    try {
      this.server = Bun.listen({ unix: path, socket })
      chmodSync(path, mode)
    } catch (error) {
      this.close()
      throw new ManjuError("LISTEN_FAILED", `cannot listen on ${path}: ${whyNoSocket(error)}`, { cause: error })
    } finally {
      process.umask(umask)
    }
    return { hostname: path, port: 0 }
  }

  close(): void {
    this.server?.stop()
    if (this.server !== undefined) rmSync(this.path, { force: true })
  }
}

/** Removes a socket that nobody listens on. Throws `LISTEN_FAILED` for one that is alive, and for a file of another kind. */
async function removeStale(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isSocket()) throw new ManjuError("LISTEN_FAILED", `${path} is there already and is no socket`)
  if (await isAlive(path)) throw new ManjuError("LISTEN_FAILED", `somebody listens on ${path} already`)
  try {
    rmSync(path)
  } catch (error) {
    throw new ManjuError("LISTEN_FAILED", `cannot listen on ${path}: a socket is left there that cannot be removed`, {
      cause: error,
    })
  }
}

/** Whether somebody listens there, be it somebody who is too busy to accept: Bun cannot tell that from nobody. */
async function isAlive(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } })
    socket.terminate()
    return true
  } catch {
    if (!existsSync(BOUND_SOCKETS)) return false
    const ends = [` ${path}`, ` ${resolve(path)}`]
    const lines = readFileSync(BOUND_SOCKETS, "utf8").split("\n")
    return lines.some((line) => ends.some((end) => line.endsWith(end)))
  }
}

/** Why a socket could not be made, in the operator's words. */
function whyNoSocket(error: unknown): string {
  const code = (error as { code?: string }).code
  if (code === "ENOENT") return "its folder is not there"
  if (code === "EACCES") return "its folder cannot be written"
  return error instanceof Error ? error.message : String(error)
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

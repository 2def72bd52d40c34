/**
 * systemd, or whatever else speaks its protocol: told when the broker serves, reads its files again and stops, and, where it asks for
 * that, every now and then that the broker lives. It asks by variables: `NOTIFY_SOCKET` says where it listens, `WATCHDOG_USEC` how long
 * it believes in a broker of which it hears nothing. Without the first nothing of this is loaded.
 *
 * A broker lives that turns: the event loop, and on it the clockwork by which clients time out and sessions expire. One whose database
 * fails lives; it serves what needs none, recovers by itself, and would not recover sooner if it were killed. While it stops the event
 * loop is enough, for then the clockwork ends; the end has a bound of its own.
 */
import type { Environment } from "../../config/environment.ts"
import { DatagramSender } from "./datagram.ts"

/** How much longer than a broker may take to stop it may take to be gone. */
const GRACE_MS = 5000
/** The watchdog hears twice as often as it has to. */
const WATCHDOG_SHARE = 2
const LONGEST_TIMER_MS = 0x7fff_ffff

export interface ServiceManagerHost {
  /** What to call the process by; `WATCHDOG_PID` may mean another. */
  readonly pid: number
  /** Something it should have heard and has not. */
  complain(line: string): void
}

export class ServiceManager implements Disposable {
  private readonly sender: DatagramSender
  private readonly host: ServiceManagerHost
  private readonly watchdogMs: number | undefined
  private status = ""
  private isStopping = false
  private isDeaf = false
  private timer: Timer | undefined

  /** Throws where there is no telling it anything. */
  constructor(socket: string, environment: Environment, host: ServiceManagerHost) {
    this.sender = new DatagramSender(socket)
    this.host = host
    this.watchdogMs = watchdogOf(environment, host.pid)
  }

  /** The broker serves; `status` is what `systemctl status` shows. */
  ready(status: string): void {
    this.status = status
    this.tell("READY=1", `STATUS=${status}`)
  }

  /** Files are read again, until `reloaded`. */
  reloading(): void {
    this.tell("RELOADING=1", `MONOTONIC_USEC=${this.sender.monotonicMicroseconds()}`, "STATUS=reads its files again")
  }

  /** Files have been read again. */
  reloaded(): void {
    if (!this.isStopping) this.ready(this.status)
  }

  /** The broker ends, and has that long. */
  stopping(timeoutMs: number): void {
    this.isStopping = true
    this.tell("STOPPING=1", `EXTEND_TIMEOUT_USEC=${(timeoutMs + GRACE_MS) * 1000}`, "STATUS=stops")
  }

  /** Tells the watchdog, if there is one, that the broker lives, as often as it asks for: each time `sign` resolves, which it must soon. */
  watch(sign: () => Promise<void>): void {
    if (this.watchdogMs === undefined) return
    const living = () => this.send("WATCHDOG=1", false)
    this.timer = setInterval(
      () => {
        if (this.isStopping) living()
        else void sign().then(living)
      },
      Math.min(LONGEST_TIMER_MS, Math.floor(this.watchdogMs / WATCHDOG_SHARE)),
    )
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer)
    this.sender.close()
  }

  private tell(...lines: string[]): void {
    this.send(lines.join("\n"), true)
  }

  /** What has not been heard is said once. */
  private send(text: string, mayWait: boolean): void {
    const isHeard = this.sender.send(text, mayWait)
    if (!isHeard && !this.isDeaf) this.host.complain("the service manager does not hear: nobody reads at NOTIFY_SOCKET")
    this.isDeaf = !isHeard
  }
}

/** How long the watchdog waits; undefined: there is none for this process. */
function watchdogOf(
  { WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: pid }: Environment,
  own: number,
): number | undefined {
  const isOthers = pid !== undefined && pid !== String(own)
  if (isOthers || !/^\d+$/.test(microseconds) || Number(microseconds) === 0) return undefined
  return Math.max(WATCHDOG_SHARE, Number(microseconds) / 1000)
}

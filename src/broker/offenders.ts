/**
 * Who may try to be let in, and when, by the network that he comes from: so that nobody can guess passwords by the thousand,
 * nor keep those from elsewhere waiting.
 *
 * 1. Of the attempts of a network, so many are under way at once. The others wait, first come, first served.
 * 2. After five failures, none more than a minute after the one before, a network is an offender. Its attempts are then looked
 *    at one after the other, and after each failure for a second none. A success keeps nobody waiting: a device with an old
 *    password costs the others behind its address a second now and then.
 * 3. Who has waited half of the time that he has to connect, or finds thousands before him, is told that the server is busy.
 * 4. Who has been let in before from there, and gives the same client id, user name and password, does not wait: the devices
 *    behind an address are not shut out by the one that runs wild.
 *
 * Nobody has to wait who comes from no IP address. Those are the processes of this machine at a Unix socket, who cannot be
 * told apart: one with an old password would slow them all, and whom they keep out is the socket's file mode to say.
 */
import { KnownClients } from "./known-clients.ts"
import { networkOf } from "./network.ts"
import type { Clock, Connecting } from "./ports.ts"
import type { Timer, Timers } from "./timers.ts"

const MOST_UNDER_WAY = 32
const MOST_WAITING = 10_000
const LONGEST_WAIT_MS = 5000
const FREE_FAILURES = 5
const PAUSE_MS = 1000
/** A failure counts for so long. */
const MEMORY_MS = 60_000
const MOST_NETWORKS = 10_000

interface Failures {
  readonly count: number
  readonly lastAt: number
}

/** The attempts of a network, while there are any. */
class Line {
  underWay = 0
  /** Who waits; who came first is first, and gives up first. Undefined: nobody has had to. */
  waiting: Set<Attempt> | undefined = undefined
  /** When they are looked at again, if nothing happens before. */
  timer: Timer | undefined
  readonly network: string

  constructor(network: string) {
    this.network = network
  }
}

/** Somebody's attempt to be let in: begun, waiting, or turned away. When it is over it has to be said, in one way. */
export class Attempt {
  /** Whether it may go on: at once, or when its turn has come; false: the server is busy. */
  turn: boolean | Promise<boolean> = true
  /** Where it is under way or waits. */
  line: Line | undefined
  /** When it gives up. */
  until = 0
  /** Says whose turn it is, to one that waits. */
  decide: ((isTurn: boolean) => void) | undefined
  private readonly connecting: Connecting
  private readonly network: string | undefined
  private readonly offenders: Offenders

  constructor(offenders: Offenders, network: string | undefined, connecting: Connecting) {
    this.offenders = offenders
    this.network = network
    this.connecting = connecting
  }

  /** The client is let in. */
  succeeded(): void {
    if (this.network !== undefined) this.offenders.known.remember(this.network, this.connecting)
    this.end()
  }

  /** The client has been refused for what it said. */
  failed(): void {
    if (this.network !== undefined) this.offenders.failed(this.network)
    this.end()
  }

  /** It has gone, or cannot be served, which says nothing against it. */
  end(): void {
    this.offenders.leave(this)
  }
}

export class Offenders {
  readonly known = new KnownClients()
  /** By network, the one that failed longest ago first. */
  private readonly failures = new Map<string, Failures>()
  private readonly lines = new Map<string, Line>()
  private readonly longestWaitMs: number
  private readonly clock: Clock
  private readonly timers: Timers

  /** `connectTimeoutMs`: how long a connection has from its beginning until it is in. */
  constructor(clock: Clock, timers: Timers, connectTimeoutMs: number) {
    this.clock = clock
    this.timers = timers
    this.longestWaitMs = Math.min(LONGEST_WAIT_MS, connectTimeoutMs / 2)
  }

  /** Somebody asks to be let in. */
  enter(connecting: Connecting): Attempt {
    const network = networkOf(connecting.remoteAddress)
    const attempt = new Attempt(this, network, connecting)
    if (network === undefined) return attempt
    const line = this.lines.get(network) ?? new Line(network)
    const waiting = line.waiting?.size ?? 0
    if (waiting === 0 && this.hasRoom(line)) {
      this.lines.set(network, line)
      this.begin(attempt, line)
    } else if (!this.known.recognize(network, connecting)) {
      if (waiting >= MOST_WAITING) attempt.turn = false
      else {
        this.lines.set(network, line)
        this.wait(attempt, line)
      }
    }
    return attempt
  }

  /** An attempt from there has failed. */
  failed(network: string): void {
    const count = (this.failuresOf(network)?.count ?? 0) + 1
    this.failures.delete(network)
    this.failures.set(network, { count, lastAt: this.clock.now() })
    if (this.failures.size > MOST_NETWORKS) this.failures.delete(this.failures.keys().next().value!)
  }

  /** An attempt is over, or has not been waited for. */
  leave(attempt: Attempt): void {
    const { line } = attempt
    if (line === undefined) return
    attempt.line = undefined
    if (line.waiting?.delete(attempt) !== true) line.underWay--
    if (line.waiting === undefined) this.forgetIfOver(line)
    else this.proceed(line, line.waiting)
  }

  private begin(attempt: Attempt, line: Line): void {
    line.underWay++
    attempt.line = line
  }

  private wait(attempt: Attempt, line: Line): void {
    attempt.line = line
    attempt.until = this.clock.now() + this.longestWaitMs
    attempt.turn = new Promise((resolve) => {
      attempt.decide = resolve
    })
    line.waiting ??= new Set()
    line.waiting.add(attempt)
    if (line.timer === undefined) this.proceed(line, line.waiting)
  }

  /** Lets those begin whose turn it is, and those give up who have waited too long. */
  private proceed(line: Line, waiting: Set<Attempt>): void {
    const now = this.clock.now()
    for (const attempt of waiting) {
      const isTurn = this.hasRoom(line)
      if (!isTurn && now < attempt.until) break
      waiting.delete(attempt)
      attempt.line = undefined
      if (isTurn) this.begin(attempt, line)
      attempt.decide!(isTurn)
    }
    line.timer?.cancel()
    line.timer = undefined
    if (waiting.size > 0) line.timer = this.timers.schedule(now, () => this.proceed(line, waiting))
    else this.forgetIfOver(line)
  }

  private forgetIfOver(line: Line): void {
    if (line.underWay === 0) this.lines.delete(line.network)
  }

  private hasRoom(line: Line): boolean {
    const failures = this.failuresOf(line.network)
    if (failures === undefined || failures.count < FREE_FAILURES) return line.underWay < MOST_UNDER_WAY
    return line.underWay === 0 && this.clock.now() >= failures.lastAt + PAUSE_MS
  }

  private failuresOf(network: string): Failures | undefined {
    const failures = this.failures.get(network)
    return failures === undefined || this.clock.now() - failures.lastAt > MEMORY_MS ? undefined : failures
  }
}

import { allowAll } from "../auth/allow.ts"
import { Broker } from "../broker/broker.ts"
import type { ListenerLimits } from "../broker/limits.ts"
import type { BrokerOptions } from "../broker/options.ts"
import type { Auth } from "../broker/ports.ts"
import type { TestClient } from "./client.ts"
import { ManualClock } from "./clock.ts"
import { TestListener } from "./listener.ts"
import type { TestClientOptions } from "./packets.ts"
import { settled } from "./settled.ts"

/** Those of a `Broker`, with another clock, and what its test clients are offered. */
export interface TestBrokerOptions extends BrokerOptions {
  /** Default: a new one. One for several brokers is for tests of a restart. */
  clock?: ManualClock
  /** Who may connect and do what. Default: everybody and everything, `allowAll()`. */
  auth?: Auth
  /** What test clients are offered. */
  listenerLimits?: Partial<ListenerLimits>
}

/**
 * A broker with clients in memory and a clock that the test moves: no socket, no timer, no sleep. In everything else it is a
 * `Broker`, hooks, store and other listeners included.
 *
 * @example
 * import { expect, test } from "bun:test"
 * import { TestBroker } from "manju/testing"
 *
 * test("who is silent for too long is gone, and its will comes", async () => {
 *   await using broker = new TestBroker()
 *   const watcher = await broker.connect()
 *   await watcher.subscribe("status/#")
 *   const sensor = await broker.connect({ keepAliveSeconds: 60, will: { topic: "status/1", payload: "lost" } })
 *   broker.clock.advance(91)
 *   expect((await watcher.nextMessage()).text()).toBe("lost")
 *   expect((await sensor.closed).reason).toBe(Reason.KeepAliveTimeout)
 * })
 */
export class TestBroker extends Broker {
  readonly clock: ManualClock
  private readonly auth: Auth
  private readonly listenerLimits: Partial<ListenerLimits>
  /** The listeners for test clients, by their auth. */
  private readonly doors = new Map<Auth, Promise<TestListener>>()

  /** Throws `INVALID_OPTION` for limits that make no sense. */
  constructor(options: TestBrokerOptions = {}) {
    const { clock = new ManualClock(), auth = allowAll(), listenerLimits = {}, ...others } = options
    super({ ...others, clock })
    this.clock = clock
    this.auth = auth
    this.listenerLimits = listenerLimits
  }

  /**
   * A client in memory, when it is in: through a listener `test`, or, with another `auth` than the broker's, through one of that
   * auth's own, `test-2` and so on.
   *
   * Rejects with a `RefusedError`, which has the `reason`, and with a `ManjuError`: `AUTH_FAILED` where the auth cannot work,
   * `INVALID_OPTION` for what no CONNECT can say, `CLOSED`.
   *
   * @example
   * const ada = await broker.connect({ username: "ada", password: "secret", auth: passwords("users.txt") })
   */
  async connect({ auth = this.auth, ...options }: TestClientOptions & { auth?: Auth } = {}): Promise<TestClient> {
    let door = this.doors.get(auth)
    if (door === undefined) {
      door = this.openDoor(auth)
      this.doors.set(auth, door)
      door.catch(() => this.doors.delete(auth))
    }
    return (await door).connect(options)
  }

  /**
   * Resolves when everything has happened that waits for nothing but promises. What waits for the clock, for a promise that
   * the test holds, or for the world outside (a store on disk, a password's hash, a web service) has not.
   *
   * @example
   * broker.clock.advance(3600)
   * await broker.settled()
   * expect(watcher.messages).toEqual([])
   */
  settled(): Promise<void> {
    return settled()
  }

  private async openDoor(auth: Auth): Promise<TestListener> {
    const id = this.doors.size === 0 ? "test" : `test-${this.doors.size + 1}`
    const door = new TestListener({ id, auth, limits: this.listenerLimits })
    await this.listen(door)
    return door
  }
}

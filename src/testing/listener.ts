import { allowAll } from "../auth/allow.ts"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import type { ListenerLimits } from "../broker/limits.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import type { Auth } from "../broker/ports.ts"
import { type Accept, custom } from "../listeners/custom.ts"
import { TestClient } from "./client.ts"
import type { TestClientOptions } from "./packets.ts"

/** What `new TestListener()` takes; all of it has a default. */
export interface TestListenerOptions {
  /** Under which it appears in logs and to auth. Default: `test`. */
  id?: string
  /** Who may connect and do what. Default: everybody and everything, `allowAll()`. */
  auth?: Auth
  /** What clients of this listener are offered. */
  limits?: Partial<ListenerLimits>
}

/**
 * A listener in memory, for tests of a service that makes its broker itself. Throws `INVALID_OPTION` for limits that make no
 * sense.
 *
 * @example
 * const door = new TestListener({ limits: { mountPoint: "site-1/" } })
 * await service.broker.listen(door)
 * const sensor = await door.connect()
 */
export class TestListener implements Listener {
  private readonly listener: Listener
  private accept: Accept | undefined
  private clientCount = 0

  constructor({ id = "test", auth = allowAll(), limits = {} }: TestListenerOptions = {}) {
    this.listener = custom({ id, auth, limits, open: (accept) => void (this.accept = accept) })
  }

  get id(): string {
    return this.listener.id
  }

  /** @internal For `broker.listen`. */
  open(core: Core): Promise<ListenerAddress> {
    return this.listener.open(core)
  }

  /** For `broker.close`. */
  close(): void {
    this.listener.close()
  }

  /**
   * A client, when it is in. Rejects with a `RefusedError` when it is refused, and with a `ManjuError`: `CLOSED` where the
   * listener is not open, `INVALID_OPTION` for what no CONNECT can say.
   */
  async connect(options: TestClientOptions = {}): Promise<TestClient> {
    if (this.accept === undefined) throw new ManjuError("CLOSED", "no broker listens on it yet: broker.listen(...)")
    const clientId = options.clientId ?? `${this.id}-${++this.clientCount}`
    return TestClient.connect(this.accept, clientId, options)
  }
}

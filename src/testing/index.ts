/**
 * manju/testing: a broker for tests, with clients in memory and a clock that the test moves.
 *
 * @example
 * import { TestBroker } from "manju/testing"
 *
 * await using broker = new TestBroker()
 * const client = await broker.connect()
 */
export { TestBroker, type TestBrokerOptions } from "./broker.ts"
export {
  TestClient,
  type TestConnack,
  type TestDisconnection,
} from "./client.ts"
export { ManualClock } from "./clock.ts"
export { DisconnectedError, RefusedError } from "./errors.ts"
export { TestListener, type TestListenerOptions } from "./listener.ts"
export type { TestMessage } from "./message.ts"
export type { TestClientOptions, TestPublishOptions, TestSubscribeOptions, TestWill } from "./packets.ts"
export { settled } from "./settled.ts"

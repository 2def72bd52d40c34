/** As it is when this is loaded: a test that replaces the timers does not mean this one. */
const { setImmediate } = globalThis

/**
 * Resolves when everything has happened that waits for nothing but promises: every packet that was under way has arrived,
 * and so has what it has caused. What waits for the clock, for a promise that the test holds, or for the world outside (a
 * store on disk, a password's hash, a web service) has not.
 *
 * @example
 * await broker.publish("a/b", "hello")
 * await settled()
 * expect(client.messages).toHaveLength(1)
 */
export function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve)) // behind all microtasks, those that they begin included
}

/** A service's own test: a broker without sockets, and a clock that the test moves. */
import { expect, test } from "bun:test"
import { TestBroker } from "manju/testing"

test("a sensor that falls silent is reported by its will", async () => {
  await using broker = new TestBroker()
  const will = { topic: "sensors/7/state", payload: "lost" }
  await broker.connect({ clientId: "sensor-7", keepAliveSeconds: 60, will })
  const watcher = await broker.connect({ clientId: "watcher" })
  await watcher.subscribe("sensors/+/state")

  broker.clock.advance(91)
  await broker.settled()

  expect(watcher.messages.map((message) => [message.topic, message.text()])).toEqual([["sensors/7/state", "lost"]])
})

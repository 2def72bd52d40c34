/** Brokers with hooks, and those who see what these make of messages. */
import type { Hooks } from "../../src/broker/hooks.ts"
import type { QoS } from "../../src/codec/index.ts"
import { Harness, type HarnessOptions, type TestClient } from "./harness.ts"
import { microtasks } from "./store.ts"

export const allQoS = [0, 1, 2] as const satisfies QoS[]

/** A broker with these hooks. */
export function hooked(hooks: Hooks, options: HarnessOptions = {}): Harness {
  const harness = new Harness(options)
  harness.core.hooks.use(hooks)
  return harness
}

/** A broker with these hooks, which `remove` takes out, and a witness who gets every message as it was published. */
export function witnessed(hooks: Hooks, options: HarnessOptions = {}) {
  const harness = new Harness(options)
  const witness = harness.client("witness").subscribe("#", { qos: 2, rap: true })
  witness.take()
  const remove = harness.core.hooks.use(hooks)
  return { harness, witness, remove }
}

/** Acknowledges to the end everything that comes until nothing more does; what came, as `topic payload`. */
export async function drain(client: TestClient): Promise<string[]> {
  const messages: string[] = []
  for (;;) {
    await microtasks()
    const packets = client.take()
    if (packets.length === 0) return messages
    for (const { cmd, qos, messageId, topic, payload } of packets) {
      if (cmd === "publish") messages.push(`${topic} ${payload}`)
      if (cmd === "publish" && qos > 0) client.ack(qos === 1 ? "puback" : "pubrec", messageId!)
      if (cmd === "pubrel") client.ack("pubcomp", messageId!)
    }
  }
}

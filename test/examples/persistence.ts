/** What is acknowledged survives: a message that waits for a client is there after the broker has been away. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { allowAll, Broker, sqlite, tcp } from "manju"
import { connect, connectAsync } from "mqtt"

const folder = await mkdtemp(join(tmpdir(), "example-"))
const start = async () => {
  const broker = new Broker({ store: sqlite(join(folder, "manju.db")) })
  const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
  return { broker, url: `mqtt://127.0.0.1:${port}` }
}
const worker = { clientId: "worker", clean: false }

const first = await start()
const absent = await connectAsync(first.url, worker)
await absent.subscribeAsync("jobs/#", { qos: 1 })
await absent.endAsync()
await first.broker.publish("jobs/1", "paint the shed", { qos: 1 }) // resolves when it is on the disk
await first.broker.close()

const second = await start()
const { promise: job, resolve } = Promise.withResolvers<string>()
const back = connect(second.url, worker)
back.on("message", (topic, payload) => resolve(`${topic} ${payload}`))
console.log(await job)
await back.endAsync()
await second.broker.close()
await rm(folder, { recursive: true })

// Prints:
// jobs/1 paint the shed

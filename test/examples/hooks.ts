/** Hooks that rewrite messages, choose who gets them, refuse some, and watch. */
import { allowAll, Broker, Reason, tcp } from "manju"
import { connectAsync } from "mqtt"

await using broker = new Broker()
broker.use({
  onMessage(message, client) {
    if (message.text() === "hello") return message.with({ payload: "hello world" })
    if (message.topic === "secret") return message.with({ allowClients: ["ops-1"] })
    if (message.topic.startsWith("cmd/") && client.clientId !== "ops-1") return Reason.NotAuthorized
    return message
  },
  onDropped: (message, reason, clientId) => console.log(`dropped ${message.topic} from ${clientId}: ${reason}`),
})
const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))

const received: string[] = []
const connect = async (clientId: string) => {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, protocolVersion: 5 })
  client.on("message", (topic, payload) => received.push(`${clientId} got ${topic} ${payload}`))
  await client.subscribeAsync("#", { qos: 1, nl: true })
  return client
}
const clients = { ops: await connect("ops-1"), other: await connect("other"), sensor: await connect("sensor") }

await clients.sensor.publishAsync("a/b", "hello", { qos: 1 })
await clients.sensor.publishAsync("secret", "for ops", { qos: 1 })
await clients.sensor.publishAsync("cmd/reboot", "now", { qos: 1 }).catch((error) => console.log(error.message))

for (const client of Object.values(clients)) await client.endAsync()
for (const line of received.sort()) console.log(line)

// Prints:
// dropped cmd/reboot from sensor: refused by hook
// Publish error: Not authorized
// ops-1 got a/b hello world
// ops-1 got secret for ops
// other got a/b hello world

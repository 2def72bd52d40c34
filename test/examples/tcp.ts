/** A broker in a service, a client over TCP, and the service itself publishing and subscribing. */
import { allowAll, Broker, tcp } from "manju"
import { connectAsync } from "mqtt"

await using broker = new Broker()
const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))

broker.subscribe("greetings/#", (message) => console.log(`the service: ${message.topic} ${message.text()}`), { qos: 1 })

const client = await connectAsync(`mqtt://127.0.0.1:${port}`)
client.on("message", (topic, payload) => console.log(`the client: ${topic} ${payload}`))
await client.subscribeAsync("orders/#", { qos: 1 })

await client.publishAsync("greetings/hello", "from the client", { qos: 1 })
await broker.publish("orders/1", "from the service", { qos: 1 })

await client.endAsync()

// Prints:
// the service: greetings/hello from the client
// the client: orders/1 from the service

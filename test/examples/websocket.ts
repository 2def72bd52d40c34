/** MQTT over WebSocket, for browsers: pages of other hosts have to be named. */
import { allowAll, Broker, websocket } from "manju"
import { connectAsync } from "mqtt"

await using broker = new Broker()
const door = websocket({ port: 0, auth: allowAll(), path: "/mqtt", origins: ["https://app.example.com"] })
const { port } = await broker.listen(door)

const url = `ws://127.0.0.1:${port}/mqtt`
const app = await connectAsync(url, { wsOptions: { headers: { origin: "https://app.example.com" } } })
console.log("the app is in")
await app.endAsync()

const other = new WebSocket(url, { protocols: ["mqtt"], headers: { origin: "https://other.example.com" } })
await new Promise((resolve) => other.addEventListener("close", resolve))
console.log("another page is not")

// Prints:
// the app is in
// another page is not

/** A web service that already has a port: MQTT over WebSocket joins it there. */
import { allowAll, Broker, upgrade } from "manju"
import { connectAsync } from "mqtt"

await using broker = new Broker()
const mqtt = upgrade({ auth: allowAll() })
await broker.listen(mqtt)

await using server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  routes: {
    "/mqtt": mqtt.fetch,
    "/clients": () => Response.json(Array.from(broker.clients(), ({ clientId }) => clientId)),
  },
  websocket: mqtt.websocket,
})

const browser = await connectAsync(`ws://127.0.0.1:${server.port}/mqtt`, { clientId: "browser" })
console.log(await (await fetch(`http://127.0.0.1:${server.port}/clients`)).text())
await browser.endAsync()

// Prints:
// ["browser"]

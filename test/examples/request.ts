/** Request and response, in both directions, between the service and MQTT 5 clients. */
import { allowAll, Broker, tcp } from "manju"
import { connectAsync } from "mqtt"

await using broker = new Broker()
const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))

const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, clientId: "device-7" })
device.on("message", (topic, payload, { properties: request = {} }) => {
  const { responseTopic, correlationData = Buffer.alloc(0) } = request
  if (responseTopic !== undefined)
    device.publish(responseTopic, `${payload}: 21.5`, { properties: { correlationData } })
  else console.log(`${topic}: ${payload}`)
})
await device.subscribeAsync(["devices/7/get", "devices/7/answers"])

const answer = await broker.request("devices/7/get", "temperature", { timeoutMs: 5000 })
console.log(answer.text())

broker.subscribe("time/get", (request) => broker.reply(request, "noon"))
const properties = { responseTopic: "devices/7/answers", correlationData: Buffer.from("1") }
await device.publishAsync("time/get", "", { qos: 1, properties })
await device.endAsync()

// Prints:
// temperature: 21.5
// devices/7/answers: noon

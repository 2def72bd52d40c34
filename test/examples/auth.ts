/** An auth of your own: who may come in, and what for. It may ask a database: answers can be promises. */
import { type Auth, Broker, Reason, tcp } from "manju"
import { connectAsync } from "mqtt"

const devices = new Map([["sensor-1", await Bun.password.hash("s3cret")]])

const auth: Auth = {
  async authenticate({ clientId, password = new Uint8Array() }) {
    const hash = devices.get(clientId)
    const isRight = hash !== undefined && (await Bun.password.verify(password, hash))
    return isRight || { reason: Reason.BadUserNameOrPassword, reasonString: "who are you?" }
  },
  authorize: (client, action, topic) => action !== "publish" || topic.startsWith(`${client.clientId}/`),
}

await using broker = new Broker()
const { port } = await broker.listen(tcp({ port: 0, auth }))
const connect = (password: string) =>
  connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "sensor-1", username: "sensor-1", password, protocolVersion: 5 })

await connect("guess").catch((error) => console.log(error.message))
const sensor = await connect("s3cret")
await sensor.publishAsync("sensor-1/temp", "21.5", { qos: 1 }).then(() => console.log("may publish its own"))
await sensor.publishAsync("sensor-2/temp", "99", { qos: 1 }).catch((error) => console.log(error.message))
await sensor.endAsync()

// Prints:
// Connection refused: Bad User Name or Password
// may publish its own
// Publish error: Not authorized

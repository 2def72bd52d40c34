/** Topics whose values have a type: what is not valid is published by nobody, and refused with 0x99. */
import { allowAll, Broker, tcp } from "manju"
import { connectAsync } from "mqtt"
import { z } from "zod"

await using broker = new Broker()
const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))

using temperature = broker.topic("sensors/:id/temp", z.object({ celsius: z.number() }), { rejectInvalid: true })
temperature.subscribe(({ params, value }) => console.log(`${params.id}: ${value.celsius} degrees`), { qos: 1 })

await temperature.publish({ id: "7" }, { celsius: 21.5 })

const sensor = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 })
await sensor.publishAsync("sensors/8/temp", JSON.stringify({ celsius: 19 }), { qos: 1 })
await sensor.publishAsync("sensors/8/temp", "warm", { qos: 1 }).catch((error) => console.log(error.message))
await sensor.endAsync()

// Prints:
// 7: 21.5 degrees
// 8: 19 degrees
// Publish error: Payload format invalid

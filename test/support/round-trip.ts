/** Whether a client gets in and its message through, by a real client. */
import { connect } from "node:net"
import mqtt from "mqtt"

/** Connects to a URL or a Unix socket, publishes to itself at QoS 1 and leaves; resolves with what it was refused with, if it was. */
export async function roundTrip(to: string, options: mqtt.IClientOptions = {}, topic = "t"): Promise<string> {
  const settings = { reconnectPeriod: 0, protocolVersion: 5, ...options } as const
  const client = to.startsWith("/") ? new mqtt.MqttClient(() => connect(to), settings) : mqtt.connect(to, settings)
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    client.on("connect", () => resolve())
    client.on("error", reject)
    client.on("close", () => reject(new Error("closed")))
    await promise
    await client.subscribeAsync(topic, { qos: 1 })
    const heard = Promise.withResolvers<string>()
    client.on("message", (_, payload) => heard.resolve(String(payload)))
    await client.publishAsync(topic, "hello", { qos: 1 })
    return await heard.promise
  } catch (error) {
    return (error as { code?: number }).code === undefined ? String(error) : `code ${(error as { code: number }).code}`
  } finally {
    client.end(true)
  }
}

/** TLS with client certificates: the name in the certificate is the user. Certificates are made here, with openssl. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { $ } from "bun"
import { type Auth, Broker, tcp } from "manju"
import { connectAsync } from "mqtt"

const folder = await mkdtemp(join(tmpdir(), "example-"))
$.cwd(folder)
const subject = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(" ")
await $`openssl req -x509 ${subject} -keyout ca.key -out ca.crt -subj /CN=example-ca`.quiet()
for (const [name, common] of Object.entries({ server: "localhost", client: "sensor-1" })) {
  await $`openssl req -x509 ${subject} -CA ca.crt -CAkey ca.key -keyout ${name}.key -out ${name}.crt -subj /CN=${common} -addext subjectAltName=DNS:${common}`.quiet()
}
const pem = (name: string) => Bun.file(join(folder, name)).text()

const auth: Auth = {
  authenticate: (client) => client.username === "sensor-1",
  authorize: (client, _, topic) => topic.startsWith(`${client.username}/`),
}
await using broker = new Broker()
const { port } = await broker.listen(
  tcp({
    port: 0,
    auth,
    usernameFrom: "commonName",
    tls: { cert: join(folder, "server.crt"), key: join(folder, "server.key"), ca: join(folder, "ca.crt") },
  }),
)

const sensor = await connectAsync(`mqtts://localhost:${port}`, {
  ca: await pem("ca.crt"),
  cert: await pem("client.crt"),
  key: await pem("client.key"),
})
await sensor.publishAsync("sensor-1/temp", "21.5", { qos: 1 })
for (const { username, remoteAddress } of broker.clients()) console.log(`${username} from ${remoteAddress}`)
await sensor.endAsync()
await rm(folder, { recursive: true })

// Prints:
// sensor-1 from 127.0.0.1

/** Whose sessions are, and what of them may still go out: through the command, with passwords, rules and a data file. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { durable } from "../support/harness.ts"
import { cheapHash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const as = (username: string, level: ProtocolLevel = 5) => ({
  ...durable(level),
  username,
  password: Buffer.from(`${username}'s`),
})

/** Connects and says what CONNACK has said; the client stays. */
async function connect(port: number, clientId: string, fields: object, level: ProtocolLevel = 5) {
  const client = await RawClient.open(port, level)
  client.sendConnect(clientId, fields)
  const { reasonCode, returnCode, sessionPresent } = await client.next("connack")
  return { client, code: (reasonCode ?? returnCode) as number, isPresent: sessionPresent as boolean }
}

/** Breaks the connection, and waits until the broker has seen that. */
async function leave(client: RawClient): Promise<void> {
  client.send({ cmd: "disconnect", reasonCode: 4, properties: {} }) // with the will, so to speak
  await client.until(() => client.hasEnded, "the broker to close")
}

test("with --passwords, --acl and --data: a session is its user's alone, over restarts too, and has only what that user may have now", async () => {
  using folder = temporaryFolder()
  const [users, rules, data] = ["users.txt", "acl.txt", "manju.db"].map((name) => join(folder.path, name))
  const hashes = await Promise.all(["alice", "eve"].map(async (name) => `${name}:${await cheapHash(`${name}'s`)}\n`))
  writeFileSync(users!, hashes.join(""))
  const allow = (...filters: string[]) => {
    const lines = filters.map((filter) => `topic readwrite ${filter}\n`)
    writeFileSync(rules!, `user alice\n${lines.join("")}user eve\ntopic readwrite eve/#\n`)
  }
  allow("secret/#", "home/#")
  const start = () => BrokerProcess.start("--passwords", users!, "--acl", rules!, "--data", data!)
  const refused = { 3: 2, 4: 2, 5: 0x85 }

  const strangersAreRefused = async (port: number) => {
    for (const level of [3, 4, 5] as const)
      for (const clean of [false, true])
        expect((await connect(port, "phone", { ...as("eve", level), clean }, level)).code).toBe(refused[level])
  }
  {
    await using broker = await start()
    const { port } = broker
    const phone = (await connect(port, "phone", as("alice"))).client
    await phone.subscribe("secret/#", 1)
    await phone.subscribe("home/#", 1)
    await strangersAreRefused(port)
    await leave(phone)
    await strangersAreRefused(port)
    const desk = (await connect(port, "desk", as("alice"))).client
    for (const topic of ["secret/a", "home/b"]) {
      desk.publish(topic, "waits", { qos: 1, messageId: 1 })
      await desk.next("puback")
    }
    await broker.kill()
    expect(broker.logged).toContain("warn: refused phone, user eve (127.0.0.1)")
    expect(broker.logged).toContain("the session belongs to user alice")
  }
  await using broker = await start()
  const { port } = broker
  await strangersAreRefused(port)
  allow("home/#")
  broker.signal("SIGHUP")
  const desk = (await connect(port, "desk", as("alice"))).client
  const isForbidden = async () => {
    desk.publish("secret/a", "", { qos: 1, messageId: 1 })
    return (await desk.next("puback")).reasonCode === 0x87
  }
  while (!(await isForbidden())) await Bun.sleep(5)
  const told = await connect(port, "phone", as("alice"))
  expect([told.code, told.isPresent]).toEqual([0, true])
  expect(await told.client.next("disconnect")).toMatchObject({ reasonCode: 0x87 })
  expect(told.client.take()).toEqual([])
  const back = await connect(port, "phone", as("alice"))
  const first = await back.client.next("publish")
  expect([back.isPresent, first.topic, String(first.payload)]).toEqual([true, "home/b", "waits"])
  desk.publish("home/c", "live", { qos: 1, messageId: 2 })
  await eventually(() => back.client.packets.some(({ topic }) => topic === "home/c"), "the last message")
  expect(back.client.take().map(({ topic }) => topic)).toEqual(["home/c"])
})

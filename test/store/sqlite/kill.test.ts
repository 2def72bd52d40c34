/**
 * kill -9, again and again, while clients do all that clients do; then the account is drawn up. Nothing that was
 * acknowledged may be lost, nothing of QoS 2 may come twice, and whoever comes back is told the truth about its session.
 *
 * MANJU_KILLS asks for more than 50 kills, MANJU_SEED for the dice of another run.
 */
import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "../../../src/store/sqlite/inspect.ts"
import { RawClient } from "../../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../../support/broker-process.ts"
import { Random } from "../../support/bytes.ts"
import { LastingClient } from "../../support/crash/lasting-client.ts"
import { Ledger } from "../../support/crash/ledger.ts"
import type { Message } from "../../support/crash/message.ts"
import { MqttJsPair } from "../../support/crash/mqttjs-pair.ts"
import type { Role } from "../../support/crash/role.ts"

const kills = Number(process.env.MANJU_KILLS ?? 50)
const seed = Number(process.env.MANJU_SEED ?? Date.now() % 1_000_000)

/** When a broker dies: at work more often than not, and often the moment that somebody sees an acknowledgement. */
const deaths = [
  ...Array<"at work">(5).fill("at work"),
  ...Array<"at a PUBACK">(3).fill("at a PUBACK"),
  ...Array<"at a SUBACK">(2).fill("at a SUBACK"),
  ...Array<"at a CONNACK">(2).fill("at a CONNACK"),
  "while it starts",
  "while clients come",
  "while it stops",
] as const

/** How long nothing may come, in the end, before it will never come. */
const PATIENCE_MS = 10_000
const WORK = "work"
/** What everybody subscribes to in the end: a message there comes behind all others. */
const LAST = "last"
const topics = ["a/1", "a/2", "b/1", WORK]
const topicFilters = ["a/#", "b/+", "retained/+"]
const shared = { topicFilters: [`$share/crew/${WORK}`], attendance: 0.6, qos: [2] } as const

const roles: Role[] = [
  { name: "writer 4", level: 4, attendance: 0.9, topics, retainedTopics: ["retained/1", "retained/2"] },
  { name: "writer 5", level: 5, attendance: 0.9, topics, retainedTopics: ["retained/3", "retained/4"] },
  { name: "talker 5", level: 5, attendance: 0.9, topics, topicFilters, noLocal: true },
  { name: "reader 4", level: 4, attendance: 1, topicFilters },
  { name: "reader 5", level: 5, attendance: 1, topicFilters, retainAsPublished: true, receiveMaximum: 8 },
  { name: "sleeper 4", level: 4, attendance: 0.2, topicFilters },
  { name: "sleeper 5", level: 5, attendance: 0.2, topicFilters, retainAsPublished: true },
  { name: "fickle 4", level: 4, attendance: 0.7, topicFilters, isFickle: true },
  { name: "fickle 5", level: 5, attendance: 0.7, topicFilters, isFickle: true },
  { name: "crew 4", level: 4, ...shared },
  { name: "crew 5", level: 5, ...shared, receiveMaximum: 5 },
  { name: "crew visitor", level: 5, ...shared, qos: [1], isVisitor: true },
]

const random = new Random(seed)
const ledger = new Ledger()
const clients = roles.map((role, index) => new LastingClient(role, ledger, new Random(seed + index)))
const lasting = clients.filter(({ role }) => !role.isVisitor)
const [writer] = lasting as [LastingClient]
const mqttJs = new MqttJsPair(ledger, "mqtt.js")
const everybody = [...lasting, mqttJs]

/** One broker, from its start to its death. */
async function live(file: string): Promise<void> {
  ledger.life++
  const death = random.pick(deaths)
  const args = ["--data", file, "--log-level", "warn"]
  if (death === "while it starts") {
    const broker = BrokerProcess.spawn(...args)
    await Bun.sleep(random.below(200))
    return broker.kill()
  }
  await using broker = await BrokerProcess.start(...args)
  const { port } = broker
  if (death !== "while clients come") await lookAtRetained(port)
  for (const client of [...clients, mqttJs]) client.allowance = 1000
  const greeted = clients.filter(({ role }) => random.chance(role.attendance)).map((client) => client.connect(port))
  mqttJs.connect(port)
  if (death === "while clients come") await Bun.sleep(random.below(20))
  else if (death === "at a CONNACK") await workUntil(port, ledger.acknowledgement("session"))
  else {
    await Promise.all(greeted)
    await work(port, random.below(400))
  }
  if (death === "at a PUBACK") await workUntil(port, ledger.acknowledgement("message"))
  if (death === "at a SUBACK") await workUntil(port, ledger.acknowledgement("request"))
  if (death === "while it stops") {
    broker.signal("SIGTERM")
    await Bun.sleep(random.below(30))
  }
  await broker.kill()
  await Promise.all([...clients, mqttJs].map((client) => client.gone()))
  if (broker.logged !== "") ledger.report(`the broker says: ${broker.logged}`)
}

/** For a while everybody does what it likes. */
async function work(port: number, forMs: number, isOver = () => false): Promise<void> {
  const end = performance.now() + forMs
  while (performance.now() < end && !isOver()) {
    random.pick(clients).act(port)
    await Bun.sleep(random.below(3))
  }
}

/** And goes on until something happens, or nothing of the kind does. */
async function workUntil(port: number, event: Promise<void>): Promise<void> {
  let hasHappened = false
  const happened = event.then(() => {
    hasHappened = true
  })
  await Promise.race([happened, work(port, 100, () => hasHappened)])
}

/** Asks what is retained, as somebody who has nothing to do with all this. */
async function lookAtRetained(port: number): Promise<void> {
  const askedAt = ledger.now()
  const client = await RawClient.connect(port, "observer")
  await client.subscribe("retained/+")
  client.send({ cmd: "pingreq" })
  await client.until(() => client.packets.some(({ cmd }) => cmd === "pingresp"), "the end of what is retained")
  const found = client.take().filter(({ cmd }) => cmd === "publish")
  client.destroy()
  ledger.judgeRetained(new Map(found.map(({ topic, payload }) => [topic, payload])), askedAt)
}

/** A broker in the end, when nobody makes trouble any more. */
async function liveInPeace(file: string, act: (broker: BrokerProcess) => Promise<void>): Promise<void> {
  ledger.life++
  for (const client of everybody) client.allowance = 0
  await using broker = await BrokerProcess.start("--data", file, "--log-level", "warn")
  await lookAtRetained(broker.port)
  mqttJs.connect(broker.port)
  await Promise.all(lasting.map((client) => client.settle(broker.port)))
  await settled()
  await act(broker)
}

/** Everything comes to its end, and the broker stops as it should. */
async function finish(broker: BrokerProcess): Promise<void> {
  for (const client of lasting) client.subscribe(LAST, 2)
  await settled()
  // Who gets one message more on every topic shows what is in force now.
  for (const client of lasting) {
    for (const topic of client.role.topics ?? []) client.publish(topic, 2, false, 20)
    for (const topic of client.role.retainedTopics ?? []) client.publish(topic, 1, true, 20)
  }
  await settled()
  await arrived(writer.publish(LAST, 2, false, 20), "every")
  await arrived(writer.publish(WORK, 2, false, 20), "some") // what is shared comes when there is nothing else
  await settled()
  await lookAtRetained(broker.port)
  broker.signal("SIGTERM")
  const code = await Promise.race([broker.ended(), Bun.sleep(2 * PATIENCE_MS)])
  if (code !== 0) ledger.report(`the broker ends with ${code}`)
}

/** The broker after that finds everybody's session, and has nothing for anybody but what is new. */
async function startAgain(): Promise<void> {
  const { arrivals } = ledger
  await arrived(writer.publish(LAST, 2, false, 20), "every")
  await settled()
  const surplus = ledger.arrivals - arrivals - lasting.length
  if (surplus !== 0) ledger.report(`${surplus} messages came that had come before`)
}

/** What is stored when nothing is under way. */
function judgeStored(file: string): void {
  const { sessions, subscriptions, waiting, inflight, messages, retained } = inspect(file)
  const holds = { sessions, subscriptions, waiting, inflight, messages }
  const due = {
    sessions: lasting.length + 2,
    subscriptions: everybody.reduce((sum, { account }) => sum + account.subscriptionCount, 0),
    waiting: 0,
    inflight: 0,
    messages: retained,
  }
  if (!Bun.deepEquals(holds, due)) ledger.report(`stored: ${JSON.stringify(holds)}, due: ${JSON.stringify(due)}`)
}

/** Waits until everything begun has come to its end, and the broker knows. */
async function settled(): Promise<void> {
  await eventually(() => everybody.every(({ isSettled }) => isSettled), "everything begun to end")
  await answered()
}

async function arrived(message: Message, how: "some" | "every"): Promise<void> {
  await eventually(() => lasting[how](({ account }) => account.arrivals.has(message)), `message ${message.number}`)
}

/** Waits for as long as anything comes. */
async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let arrivals = -1, deadline = 0; !condition(); await Bun.sleep(20)) {
    if (ledger.arrivals !== arrivals) deadline = performance.now() + PATIENCE_MS
    else if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`)
    arrivals = ledger.arrivals
    await answered()
  }
}

/** Waits until everybody has got an answer, and with it all that the broker had sent before. */
async function answered(): Promise<void> {
  const all = Promise.all(everybody.map((client) => client.ping()))
  if ((await Promise.race([all, Bun.sleep(PATIENCE_MS)])) === undefined) throw new Error("waited in vain for answers")
}

async function outlive(file: string): Promise<void> {
  try {
    for (let n = 0; n < kills; n++) await live(file)
    await liveInPeace(file, finish)
    judgeStored(file)
    await liveInPeace(file, startAgain)
  } catch (error) {
    ledger.report(String(error)) // what has been lost says more than who waited for it
  }
  ledger.judgeLost()
}

test("a broker killed while it makes its database leaves one that the next can use", async () => {
  for (let n = 0; n < 12; n++) {
    using folder = temporaryFolder()
    const file = join(folder.path, "manju.db")
    const broker = BrokerProcess.spawn("--data", file)
    while (!existsSync(file)) await Bun.sleep(0)
    for (const end = performance.now() + n / 3; performance.now() < end; ) await Bun.sleep(0)
    await broker.kill()
    await using _next = await BrokerProcess.start("--data", file)
  }
}, 60_000)

test(
  `${kills} kills lose nothing acknowledged, and repeat nothing of QoS 2`,
  async () => {
    using folder = temporaryFolder()
    await outlive(join(folder.path, "manju.db"))
    const { problems, messages, demanded } = ledger
    if (process.env.MANJU_KILLS) console.log(`${kills} kills, ${messages.length} messages, ${demanded} deliveries due`)
    expect({ seed, problems: problems.slice(0, 20) }).toEqual({ seed, problems: [] })
    expect(demanded).toBeGreaterThan(kills * 10)
  },
  60_000 + kills * 5_000,
)

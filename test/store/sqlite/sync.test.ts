/**
 * The order of the broker's system calls: what an acknowledgement says is on the disk before the acknowledgement is on
 * the wire. The broker is watched while clients talk to it. Then, for every packet that promises something, the disk is
 * made as it was when that packet was handed to the kernel, with all that no sync had made safe yet left out, and opened.
 */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import type mqtt from "mqtt-packet"
import type { ProtocolLevel } from "../../../src/codec/index.ts"
import { RawClient, type Received } from "../../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../../support/broker-process.ts"
import { type Accident, copyDatabase, Disk, diskCalls, type Found, textOf } from "../../support/disk.ts"
import { durable } from "../../support/harness.ts"
import { faults, type Moment, Strace, syncs } from "../../support/strace.ts"
import { type Sent, sentPackets, wireCalls } from "../../support/wiretap.ts"

setDefaultTimeout(60_000)

/** Long messages, so many in a row and so many rows: more than the log takes before it is begun anew. */
const LONG = { bytes: 60_000, messages: 8, rows: 9 }
/** How often each of the clients that don't wait for answers does everything. */
const ROUNDS = 12
/** Enough of them to see what is wrong. */
const SHOWN = 10

/** A client that plays its part in every flow. */
class Player {
  readonly heard: string[] = []
  private readonly client: RawClient
  private lastId = 0

  private constructor(client: RawClient) {
    this.client = client
  }

  static async connect(port: number, clientId: string, level: ProtocolLevel, fields: object): Promise<Player> {
    const player = new Player(await RawClient.open(port, level))
    player.client.sendConnect(clientId, fields)
    await player.hear("connack", 1)
    return player
  }

  publish(topic: string, qos: 1 | 2, payload = topic): void {
    this.client.publish(topic, payload, { qos, retain: topic.startsWith("retained/"), messageId: ++this.lastId })
  }

  subscribe(topic: string): void {
    const subscriptions = [{ topic, qos: 2 as const }]
    this.client.send({ cmd: "subscribe", messageId: ++this.lastId, subscriptions })
  }

  unsubscribe(topic: string): void {
    this.client.send({ cmd: "unsubscribe", messageId: ++this.lastId, unsubscriptions: [topic] })
  }

  /** Goes on until it has had so many packets of that type in all. */
  async hear(cmd: string, count: number): Promise<void> {
    while (this.heard.filter((each) => each === cmd).length < count) {
      await this.client.until(() => this.client.packets.length > 0, cmd)
      for (const packet of this.client.take()) this.on(packet)
    }
  }

  async ping(): Promise<void> {
    this.client.send({ cmd: "pingreq" })
    await this.hear("pingresp", 1)
  }

  leave(): void {
    this.client.destroy()
  }

  private on({ cmd, messageId }: Received): void {
    this.heard.push(cmd)
    if (cmd === "pubrec") this.client.send({ cmd: "pubrel", messageId: messageId! })
    if (cmd === "publish") this.client.send({ cmd: "pubrec", messageId: messageId! })
    if (cmd === "pubrel") this.client.send({ cmd: "pubcomp", messageId: messageId! })
  }
}

/** A client of a level does everything that must survive, one thing at a time. */
async function converse(port: number, level: ProtocolLevel, online: Player): Promise<Player[]> {
  const lasting = durable(level)
  const offline = await Player.connect(port, `offline${level}`, level, lasting)
  offline.subscribe(`queued/${level}/#`)
  await offline.hear("suback", 1)
  offline.leave()
  online.subscribe(`online/${level}/#`)
  await online.hear("suback", 1)
  const client = await Player.connect(port, `client${level}`, level, lasting)
  client.subscribe("kept")
  await client.hear("suback", 1)
  client.subscribe("given/up")
  await client.hear("suback", 2)
  client.unsubscribe("given/up")
  await client.hear("unsuback", 1)
  for (const kind of ["queued", "retained"]) {
    client.publish(`${kind}/${level}/a`, 1)
    await client.hear("puback", kind === "queued" ? 1 : 2)
    client.publish(`${kind}/${level}/b`, 2)
    await client.hear("pubcomp", kind === "queued" ? 1 : 2)
  }
  client.publish(`online/${level}/a`, 2)
  await client.hear("pubcomp", 3)
  await online.hear("pubrel", 1)
  client.leave()
  const forgetful = await Player.connect(port, `client${level}`, level, { ...lasting, clean: true })
  forgetful.leave()
  return [offline, client, forgetful]
}

/** A client makes the log so long that it has to be begun anew. */
async function fillLog(port: number): Promise<Player> {
  const client = await Player.connect(port, "long", 5, {})
  for (let row = 1; row <= LONG.rows; row++) {
    for (let i = 0; i < LONG.messages; i++) client.publish(`retained/5/long/${i}`, 1, String(row).padStart(LONG.bytes))
    await client.hear("puback", row * LONG.messages)
  }
  return client
}

/** A client sends a lot without waiting for answers. */
async function pour(port: number, level: ProtocolLevel, clientId: string, fields: object): Promise<Player> {
  const player = await Player.connect(port, clientId, level, fields)
  for (let i = 0; i < ROUNDS; i++) player.subscribe(`old/${i}`)
  await player.hear("suback", ROUNDS)
  for (let i = 0; i < ROUNDS; i++) {
    player.subscribe(`new/${i}`)
    for (const kind of ["queued", "retained"]) {
      player.publish(`${kind}/${level}/${clientId}/${i}/a`, 1)
      player.publish(`${kind}/${level}/${clientId}/${i}/b`, 2)
    }
    player.unsubscribe(`old/${i}`)
    player.publish(`online/${level}/${clientId}/${i}`, 2)
  }
  await player.hear("puback", 2 * ROUNDS)
  await player.hear("pubcomp", 3 * ROUNDS)
  return player
}

/** A broker's life under the eyes of strace. */
interface Life {
  /** The database when it began. */
  readonly copy: ReadonlyMap<string, Buffer>
  readonly moments: readonly Moment[]
  readonly sent: readonly Sent[]
  /** The types of all packets that the clients have had. */
  readonly heard: readonly string[]
}

interface Circumstances {
  flags?: readonly string[]
  levels?: readonly ProtocolLevel[]
  /** What happens to calls. */
  fault?: string
  /** Whether so much is stored that the log has to be begun anew. */
  isLong?: boolean
}

async function live({ flags = [], levels = [4, 5], fault, isLong = false }: Circumstances): Promise<Life> {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  await using broker = await BrokerProcess.start("--data", path, ...flags)
  const { port } = broker
  await using strace = await Strace.process(broker.pid, [...diskCalls, ...wireCalls], fault)
  const copy = copyDatabase(path)
  const online = new Map<ProtocolLevel, Player>()
  const players: Player[] = []
  for (const level of levels) {
    online.set(level, await Player.connect(port, `online${level}`, level, durable(level)))
    players.push(...(await converse(port, level, online.get(level)!)))
  }
  if (isLong) players.push(await fillLog(port))
  const pouring = levels.flatMap((level) => [
    pour(port, level, `pouring${level}`, durable(level)),
    pour(port, level, `visitor${level}`, {}),
  ])
  await Promise.all([...online.values()].map((player) => player.hear("pubrel", 1 + 2 * ROUNDS)))
  players.push(...online.values(), ...(await Promise.all(pouring)))
  await online.get(4)!.ping() // the answer to the one before has been seen to its end when this one leaves
  const moments = await strace.detach()
  return { copy, moments, sent: sentPackets(moments), heard: players.flatMap(({ heard }) => heard) }
}

/** Whether what a packet promises is found on the disk. What is not in here promises nothing. */
const isKept: Record<string, (found: Found, sent: Sent) => boolean> = {
  connack({ sessions, subscriptions }, { peer: { connect, clientId, isLasting } }) {
    if (!isLasting) return !sessions.has(clientId)
    const isEmpty = ![...subscriptions].some((each) => each.startsWith(`${clientId} `))
    return sessions.has(clientId) && (!connect.clean || isEmpty)
  },
  suback({ subscriptions }, { packet, peer }) {
    const asked: mqtt.ISubscription[] = peer.request("subscribe", packet).subscriptions
    return !peer.isLasting || asked.every(({ topic, qos }) => subscriptions.has(`${peer.clientId} ${topic} ${qos}`))
  },
  unsuback({ sessions, subscriptions }, { packet, peer }) {
    if (!peer.isLasting) return true
    const [topic] = peer.request("unsubscribe", packet).unsubscriptions
    return sessions.has(peer.clientId) && !subscriptions.has(`${peer.clientId} ${topic} 2`)
  },
  puback: (found, { packet, peer }) => isMessageKept(found, peer.request("publish", packet)),
  pubrec(found, { packet, peer }) {
    const isIdKept = !peer.isLasting || found.received.has(`${peer.clientId} ${packet.messageId}`)
    return isIdKept && isMessageKept(found, peer.request("publish", packet))
  },
  pubcomp({ sessions, received }, { packet, peer: { clientId, isLasting } }) {
    return !isLasting || (sessions.has(clientId) && !received.has(`${clientId} ${packet.messageId}`))
  },
  publish(found, sent) {
    const message = inflight(found, sent)?.message
    return message !== undefined && textOf(message) === sent.packet.payload.toString()
  },
  pubrel(found, sent) {
    const delivery = inflight(found, sent)
    return delivery !== undefined && delivery.message === undefined
  },
}

const promising = Object.keys(isKept)

/** The delivery that a PUBLISH or PUBREL to its receiver is about. */
function inflight({ deliveries }: Found, { packet, peer }: Sent): Found["deliveries"][number] | undefined {
  return deliveries.find(({ owner, packetId }) => owner === peer.clientId && packetId === packet.messageId)
}

/** Whether the retained message is there, or that of the session which it waits for. */
function isMessageKept({ retained, deliveries }: Found, { topic, payload }: Received): boolean {
  const [kind, level] = topic.split("/")
  if (kind === "retained") return retained.get(topic) === payload.toString()
  return deliveries.some(
    ({ owner, message }) =>
      owner === `${kind === "queued" ? "offline" : kind}${level}` && message !== undefined && message.topic === topic,
  )
}

/** The packets that an accident right before they left would have made liars. */
function liars({ copy, moments, sent }: Life, accident: Accident): string[] {
  const disk = new Disk(copy, accident)
  const leaving = Map.groupBy(sent, ({ call }) => call)
  return moments.flatMap((moment) => {
    disk.see(moment)
    if (moment.isEnd) return []
    const packets = leaving.get(moment.call) ?? []
    return packets.filter((each) => isKept[each.packet.cmd]?.(disk.find(), each) === false).map(nameOf)
  })
}

function nameOf({ packet, peer }: Sent): string {
  return `${packet.cmd} ${packet.messageId ?? ""} to ${peer.clientId}`
}

/** How many there are of each type that promises something. */
function countPromises(types: readonly string[]): Record<string, number> {
  return Object.fromEntries(promising.map((type) => [type, types.filter((each) => each === type).length]))
}

/** The life up to the moment when a packet leaves, without the last sync before. */
function withoutSyncBefore(life: Life, { call }: Sent): Life {
  const leaving = life.moments.findIndex((moment) => moment.call === call)
  const sync = life.moments.slice(0, leaving).findLast((moment) => moment.isEnd && syncs.includes(moment.call.name))!
  return { ...life, moments: life.moments.slice(0, leaving + 1).filter((moment) => moment.call !== sync.call) }
}

describe("durable against power cuts", () => {
  let life: Life

  beforeAll(async () => {
    life = await live({ isLong: true })
  })

  test("every packet that the clients have had is in the trace, and all that promise something are among them", () => {
    const counts = countPromises(life.sent.map(({ packet }) => packet.cmd))
    expect(counts).toEqual(countPromises(life.heard))
    expect(Object.values(counts)).not.toContain(0)
  })

  test("the log has been begun anew meanwhile", () => {
    const [path] = life.copy.keys()
    const names = life.moments.filter(({ call }) => call.file === path).map(({ call }) => call.name)
    expect(names.some((name) => syncs.includes(name))).toBe(true)
  })

  test("no acknowledgement leaves before the sync that it depends on", () => {
    expect(liars(life, "power cut").slice(0, SHOWN)).toEqual([])
  })

  for (const type of promising)
    test(`${type}: had it left one sync earlier, it would be found`, () => {
      const first = life.sent.find(({ packet }) => packet.cmd === type)!
      expect(liars(withoutSyncBefore(life, first), "power cut")).toContain(nameOf(first))
    })
})

describe("durable against the end of the process", () => {
  let life: Life

  beforeAll(async () => {
    life = await live({ flags: ["--durability", "process"] })
  })

  test("no acknowledgement leaves before what it depends on is written", () => {
    expect(liars(life, "kill").slice(0, SHOWN)).toEqual([])
  })

  test("they wait for no sync: a power cut would make liars of every type", () => {
    const types = liars(life, "power cut").map((name) => name.split(" ")[0]!)
    expect(Object.values(countPromises(types))).not.toContain(0)
  })
})

describe("a sync that fails", () => {
  let life: Life

  beforeAll(async () => {
    // Of clients of 3.1.1, which are not refused what they ask for but wait. Somewhere in their conversation.
    life = await live({ levels: [4], fault: faults.fail(syncs, "EIO", "12..13") })
  })

  test("has been seen", () => {
    const failures = life.moments.filter(({ call, isEnd }) => isEnd && syncs.includes(call.name) && call.result === -1)
    expect(failures.length).toBe(2)
  })

  test("may have lost what it was to save: it is written again before it is acknowledged", () => {
    expect(liars(life, "power cut").slice(0, SHOWN)).toEqual([])
  })
})

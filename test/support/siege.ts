/** Connections that are up to no good, many at a time, and a healthy client among them. */
import { expect } from "bun:test"
import type mqtt from "mqtt-packet"
import { FrameClient } from "../listeners/frames.ts"
import { ByteClient, type PacketClient, RawClient } from "../listeners/socket.ts"
import type { Door, Doors } from "./doors.ts"

/** How long a healthy client may take for a visit. */
export const SERVED_WITHIN_MS = 1000
/** How much memory 2,000 attackers may cost. */
const MOST_GROWTH_BYTES = 64 * 1024 * 1024
/** How many are opened at once: the backlog of a listener is bounded, too. */
const BATCH = 250
const DRIP_EVERY_MS = 100
/** To count thousands of connections takes time, too. */
const LOOK_EVERY_MS = 100
const PATIENCE_MS = 30_000

/** Somebody who sends bytes, stays, and does not care what is answered. */
export class Attacker extends ByteClient {
  /** What goes on coming. */
  drip: Buffer | undefined
  /** The beginning of the answer, if there was one. */
  answer: Buffer | undefined

  static async open(port: number): Promise<Attacker> {
    const attacker = new Attacker()
    await attacker.open(port)
    return attacker
  }

  protected receive(chunk: Buffer): void {
    this.answer ??= chunk
  }
}

/** Opens so many connections to a port, each of which sends what `first` says, and then `drip` again and again. */
export async function attack(
  port: number,
  count: number,
  first: (index: number) => Buffer,
  drip?: Buffer,
): Promise<Attacker[]> {
  const attackers: Attacker[] = []
  while (attackers.length < count) {
    const length = Math.min(BATCH, count - attackers.length)
    attackers.push(...(await Promise.all(Array.from({ length }, () => Attacker.open(port)))))
  }
  for (const [index, attacker] of attackers.entries()) {
    const bytes = first(index)
    attacker.drip = drip
    if (bytes.length > 0 && !attacker.hasClosed) attacker.write(bytes)
  }
  return attackers
}

/** A healthy client: comes, says something at QoS 1 to itself, hears it, goes. Gives how long that took, in ms. */
export async function visit(doors: Doors, door: Exclude<Door, "proxy" | "guarded">): Promise<number> {
  const start = performance.now()
  const isSecure = door === "tls" || door === "wss"
  const place = { port: doors.ports[door], ...(isSecure && { tls: { ca: doors.authority } }) }
  const client: PacketClient = await (door === "tcp" || door === "tls"
    ? RawClient.connect(place, "healthy")
    : FrameClient.connect(place, "healthy"))
  await client.subscribe("t", 1)
  client.publish("t", "well", { qos: 1, messageId: 7 })
  await client.until(() => client.packets.length >= 2, "the message and its acknowledgement")
  const took = performance.now() - start
  expect(client.packets.map(({ cmd }) => cmd as string).sort()).toEqual(["puback", "publish"])
  client.send({ cmd: "puback", messageId: client.packets.find(({ cmd }) => cmd === "publish")!.messageId! })
  client.send({ cmd: "disconnect" } as mqtt.Packet)
  await client.until(() => client.hasEnded, "the end")
  client.destroy()
  return took
}

/** Waits until nobody is there. */
export async function emptied(doors: Doors): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (doors.connectionCount > 0) {
    if (performance.now() > deadline) throw new Error(`${doors.connectionCount} connections have not ended`)
    await Bun.sleep(LOOK_EVERY_MS)
  }
}

/** Serves healthy clients through every door while an attack stands, then sees it gone. */
export async function withstand(doors: Doors, begin: () => Promise<Attacker[]>): Promise<void> {
  const before = doors.residentBytes
  const attackers = await begin()
  const standing = doors.connectionCount
  let most = doors.residentBytes
  const dripping = setInterval(() => {
    for (const attacker of attackers) {
      if (attacker.drip !== undefined && !attacker.hasEnded) attacker.write(attacker.drip)
    }
  }, DRIP_EVERY_MS)
  try {
    for (const door of ["tcp", "tls", "ws", "wss"] as const) {
      const took: number[] = []
      for (let round = 0; round < 3; round++) took.push(await visit(doors, door))
      // The best of three: the machine has other things to do, and now and then it is they that take the second.
      expect(Math.min(...took)).toBeLessThan(SERVED_WITHIN_MS)
      most = Math.max(most, doors.residentBytes)
    }
    expect(standing).toBeGreaterThan(0) // it stood, for a while at least
    expect(most - before).toBeLessThan(MOST_GROWTH_BYTES)
    await emptied(doors)
  } finally {
    clearInterval(dripping)
    for (const attacker of attackers) attacker.destroy()
  }
  await visit(doors, "tcp")
  expect(doors.logged).not.toMatch(/^error: /m)
}

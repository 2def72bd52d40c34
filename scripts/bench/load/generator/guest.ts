/**
 * A guest comes, stays for some seconds and leaves, as clients do on a bad network: it subscribes to what its room says, tells the room by
 * a retained message that it is there and by its will that it is not any more, leaves a few messages for its neighbour, and either says
 * goodbye or drops its connection. Every fourth has a session that waits for it some seconds.
 */
import { encodePublish, encodeSubscribe, PacketType, type Qos } from "../../wire.ts"
import { Client, type Run } from "./client.ts"

const guestsPerRoom = 10
const messagesPerVisit = 5
const leastStaySeconds = 2
const mostStaySeconds = 8
const sessionExpirySeconds = 5

/** Comes and goes as the guest of that number until the run is over; `onVisit` is called when it has come. */
export async function comeAndGo(run: Run, number: number, guests: number, onVisit: () => void): Promise<void> {
  for (let visit = 0; run.isOpen; visit++) {
    const guest = new Guest(run, number, guests)
    // Numbers that differ from guest to guest and from visit to visit, and are the same in each run.
    const lot = (number * 7919 + visit * 104_729) % 1000
    await guest.come(lot % 4 === 0)
    onVisit()
    await Bun.sleep((leastStaySeconds + ((mostStaySeconds - leastStaySeconds) * lot) / 1000) * 1000)
    if (lot % 3 === 0) guest.drop()
    else await guest.disconnect()
    await Bun.sleep(lot)
  }
}

class Guest extends Client {
  readonly #number: number
  readonly #neighbour: number
  #lastPacketId = 0

  constructor(run: Run, number: number, guests: number) {
    super(run, `guest-${number}`)
    this.#number = number
    this.#neighbour = (number + 1) % guests
  }

  async come(isLasting: boolean): Promise<void> {
    const will = { topic: this.#status, payload: Buffer.from("gone"), qos: 1, retain: true } as const
    await this.connect(60, { sessionExpirySeconds: isLasting ? sessionExpirySeconds : 0, will })
    for (const filter of [`guests/${this.#room}/+/status`, letterbox(this.#number)])
      await this.request(encodeSubscribe(filter, 1, this.run.level), PacketType.suback)
    this.#publish(this.#status, "here", 1, true)
    for (let index = 0; index < messagesPerVisit; index++)
      this.#publish(letterbox(this.#neighbour), `message ${index} of guest ${this.#number}`, index % 2 === 0 ? 0 : 1)
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.publish) {
      if ((bytes[at]! & 0x06) !== 0)
        this.acknowledge(PacketType.puback << 4, bytes, at + 4 + bytes.readUInt16BE(at + 2))
    } else if (type !== PacketType.puback) super.onPacket(bytes, at, end)
  }

  get #room(): number {
    return Math.floor(this.#number / guestsPerRoom)
  }

  get #status(): string {
    return `guests/${this.#room}/${this.#number}/status`
  }

  #publish(topic: string, message: string, qos: Qos, retain = false): void {
    const packet = encodePublish(
      topic,
      Buffer.from(message),
      { qos, retain, packetId: ++this.#lastPacketId },
      this.run.level,
    )
    this.write(packet, 0, packet.length)
  }
}

const letterbox = (number: number) => `letters/${number}`

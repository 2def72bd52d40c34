/** A WebSocket client frame by frame: whatever can be sent can be sent wrong, and what comes can be counted. RFC 6455 */
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { PacketClient, type Place } from "./socket.ts"

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

export interface Frame {
  readonly opcode: number
  readonly isFinal: boolean
  readonly payload: Buffer
}

const MASK = Buffer.from([0x11, 0x22, 0x33, 0x44])
/** The key of the RFC's example, and what the server must answer to it. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ=="
export const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

export interface UpgradeRequest {
  path?: string
  /** Headers besides those that every handshake has; undefined takes one of these away. */
  headers?: Record<string, string | undefined>
  level?: ProtocolLevel
}

/** The request that asks for a WebSocket. */
export function upgradeText({ path = "/mqtt", headers = {} }: UpgradeRequest = {}): string {
  const fields = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "mqtt",
    ...headers,
  }
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  )
  return `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`
}

/** A masked frame. `announced`: another length than it has. */
export function frame(opcode: Opcode, payload: Buffer, isFinal = true, announced = payload.length): Buffer {
  const head = Buffer.alloc(announced < 126 ? 2 : announced < 0x1_0000 ? 4 : 10)
  head[0] = (isFinal ? 0x80 : 0) | opcode
  if (head.length === 2) head[1] = 0x80 | announced
  else if (head.length === 4) {
    head[1] = 0x80 | 126
    head.writeUInt16BE(announced, 2)
  } else {
    head[1] = 0x80 | 127
    head.writeBigUInt64BE(BigInt(announced), 2)
  }
  const masked = payload.map((byte, index) => byte ^ MASK[index % 4]!)
  return Buffer.concat([head, MASK, masked])
}

export class FrameClient extends PacketClient {
  /** What has come instead of or before frames: the head of the answer, and its body where it is no WebSocket. */
  answer = ""
  readonly frames: Frame[] = []
  private isWebSocket = false
  private unread: Buffer = Buffer.alloc(0)
  /** What has come behind `unread`, and how much of both it takes to go on: a large frame is put together once. */
  private gathered: Buffer[] = []
  private gatheredBytes = 0
  private neededBytes = 0

  /** Asks for a WebSocket and waits for the answer. */
  static async request(place: Place, request: UpgradeRequest = {}): Promise<FrameClient> {
    const client = new FrameClient(request.level ?? 5)
    await client.open(place)
    client.write(Buffer.from(upgradeText(request)))
    await client.until(() => client.answer.includes("\r\n\r\n") || client.hasEnded, "an answer")
    return client
  }

  /** A client that is in: clean start, no keep-alive. */
  static async connect(place: Place, clientId: string, request: UpgradeRequest = {}): Promise<FrameClient> {
    const client = await FrameClient.request(place, request)
    if (client.status !== 101) throw new Error(`no WebSocket: ${client.answer}`)
    await client.begin(clientId, {})
    return client
  }

  /** Of the HTTP answer. */
  get status(): number {
    return Number(this.answer.match(/^HTTP\/1\.1 (\d+)/)?.[1])
  }

  /** Every value of a header of the answer. */
  header(name: string): string[] {
    return Array.from(this.answer.matchAll(new RegExp(`^${name}: (.*)\r$`, "gim")), ([, value]) => value!)
  }

  /** The code of the close frame that has come. */
  get closeCode(): number | undefined {
    return this.frames.find(({ opcode }) => opcode === Opcode.close)?.payload.readUInt16BE(0)
  }

  /** The frames of that kind that have come. */
  framesOf(opcode: Opcode): Frame[] {
    return this.frames.filter((each) => each.opcode === opcode)
  }

  sendFrame(opcode: Opcode, payload: Buffer, isFinal = true): void {
    this.write(frame(opcode, payload, isFinal))
  }

  /** Everything in one frame. */
  sendBytes(bytes: Buffer): void {
    this.sendFrame(Opcode.binary, bytes)
  }

  protected receive(chunk: Buffer): void {
    this.gathered.push(chunk)
    this.gatheredBytes += chunk.length
    if (this.unread.length + this.gatheredBytes < this.neededBytes) return
    this.unread = Buffer.concat([this.unread, ...this.gathered.splice(0)])
    this.gatheredBytes = 0
    this.neededBytes = 0
    if (!this.isWebSocket) {
      const end = this.unread.indexOf("\r\n\r\n")
      if (end < 0) return
      const isUpgraded = this.unread.subarray(0, 13).equals(Buffer.from("HTTP/1.1 101 "))
      const length = isUpgraded ? end + 4 : this.unread.length
      this.answer += this.unread.latin1Slice(0, length)
      this.unread = this.unread.subarray(length)
      if (!isUpgraded) return
      this.isWebSocket = true
    }
    while (this.readFrame());
  }

  /** Takes one whole frame out of what has come; false if there is none. */
  private readFrame(): boolean {
    const { unread } = this
    const short = unread.length < 2 ? 0 : unread[1]! & 0x7f
    const start = short === 127 ? 10 : short === 126 ? 4 : 2
    if (unread.length < start) return false
    const length = start === 2 ? short : start === 4 ? unread.readUInt16BE(2) : Number(unread.readBigUInt64BE(2))
    if (unread.length < start + length) {
      this.neededBytes = start + length
      return false
    }
    const payload = unread.subarray(start, start + length)
    const opcode = unread[0]! & 0x0f
    this.unread = unread.subarray(start + length)
    this.frames.push({ opcode, isFinal: (unread[0]! & 0x80) !== 0, payload })
    if (opcode === Opcode.binary) this.parse(payload)
    return true
  }
}

/** Something that listens like a broker and says what the test lets it: for answers that no broker of ours gives. */
import type { Socket, TCPSocketListener } from "bun"
import mqtt from "mqtt-packet"
import type { Received } from "../listeners/socket.ts"

interface Visitor {
  parser: mqtt.Parser
  level: number
  unwritten: Buffer
}

export interface Answering {
  /** Sends a packet in the level that the client speaks, or bytes as they are. */
  send(packet: mqtt.Packet | Buffer): void
  end(): void
}

export class ScriptedBroker implements Disposable {
  /** Packets that have come, from whomever. */
  readonly packets: Received[] = []
  private readonly listener: TCPSocketListener<Visitor>

  /** `answer` is called with every packet. */
  constructor(answer: (packet: Received, client: Answering) => void) {
    const answering = (socket: Socket<Visitor>): Answering => ({
      send: (packet) => {
        const options = { protocolVersion: socket.data.level }
        const bytes = Buffer.isBuffer(packet) ? packet : mqtt.generate(packet, options as never)
        socket.data.unwritten = Buffer.concat([socket.data.unwritten, bytes])
        flush(socket)
      },
      end: () => socket.end(),
    })
    this.listener = Bun.listen<Visitor>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        binaryType: "buffer",
        open: (socket) => {
          const parser = mqtt.parser({})
          socket.data = { parser, level: 4, unwritten: Buffer.alloc(0) }
          parser.on("error", () => {})
          parser.on("packet", (packet: Received) => {
            if (packet.cmd === "connect") socket.data.level = packet.protocolVersion!
            this.packets.push(packet)
            answer(packet, answering(socket))
          })
        },
        drain: flush,
        data: (socket, chunk) => void socket.data.parser.parse(chunk),
        error() {},
      },
    })
  }

  get port(): number {
    return this.listener.port
  }

  count(cmd: string): number {
    return this.packets.filter((packet) => packet.cmd === cmd).length
  }

  [Symbol.dispose](): void {
    this.listener.stop(true)
  }
}

function flush(socket: Socket<Visitor>): void {
  const { unwritten } = socket.data
  socket.data.unwritten = unwritten.subarray(Math.max(0, socket.write(unwritten)))
}

/** A CONNACK that lets in. */
export const welcome = (properties: object = {}) =>
  ({ cmd: "connack", returnCode: 0, reasonCode: 0, sessionPresent: false, properties }) as unknown as mqtt.Packet

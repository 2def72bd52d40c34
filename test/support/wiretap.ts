/** What a broker and its clients have said to each other, by the trace of the broker's system calls. */
import mqtt from "mqtt-packet"
import type { Received } from "../listeners/socket.ts"
import type { Moment, SystemCall } from "./strace.ts"

/** The calls of a trace that are read here. */
export const wireCalls = ["recvfrom", "sendto"]

/** A packet that the broker has sent, and the call that it began to leave with. */
export interface Sent {
  readonly packet: Received
  readonly peer: Peer
  readonly call: SystemCall
}

/** What a client has asked for on one connection. */
export class Peer {
  connect!: Received
  private readonly requests = new Map<string, Received>()

  get clientId(): string {
    return this.connect.clientId
  }

  /** Whether its session is to outlive the connection. */
  get isLasting(): boolean {
    const { protocolVersion, clean, properties } = this.connect
    return protocolVersion === 5 ? (properties?.sessionExpiryInterval ?? 0) > 0 : !clean
  }

  note(packet: Received): void {
    if (packet.cmd === "connect") this.connect = packet
    else this.requests.set(`${packet.cmd} ${packet.messageId}`, packet)
  }

  /** The request that `answer` is about, if the client has used its packet id only once. */
  request(cmd: string, answer: Received): Received {
    return this.requests.get(`${cmd} ${answer.messageId}`)!
  }
}

/** Every packet that the broker has sent, in order. */
export function sentPackets(moments: readonly Moment[]): Sent[] {
  const sent: Sent[] = []
  const wires = new Map<string, Wire>()
  for (const { call, isEnd } of moments) {
    if (!isEnd || !wireCalls.includes(call.name) || !(call.result! > 0)) continue
    if (!wires.has(call.file)) wires.set(call.file, new Wire(sent))
    wires.get(call.file)!.see(call)
  }
  return sent
}

/** Both directions of a connection. */
class Wire {
  private readonly peer = new Peer()
  private readonly incoming = mqtt.parser()
  private outgoing: mqtt.Parser | undefined
  private readonly sent: Sent[]
  /** The call that is being read, and the one that the packet which is being read began in. */
  private call: SystemCall | undefined
  private beganIn: SystemCall | undefined
  private isWithinPacket = false

  constructor(sent: Sent[]) {
    this.sent = sent
    this.incoming.on("packet", (packet) => this.peer.note(packet as Received))
  }

  see(call: SystemCall): void {
    const bytes = call.bytes.subarray(0, call.result)
    if (call.name === "recvfrom") this.incoming.parse(bytes)
    else this.send(call, bytes)
  }

  private send(call: SystemCall, bytes: Buffer): void {
    const { peer } = this
    if (this.outgoing === undefined) {
      this.outgoing = mqtt.parser({ protocolVersion: peer.connect.protocolVersion })
      this.outgoing.on("packet", (packet) => {
        this.sent.push({ packet: packet as Received, peer, call: this.beganIn! })
        this.beganIn = this.call
      })
    }
    this.call = call
    if (!this.isWithinPacket) this.beganIn = call
    this.isWithinPacket = this.outgoing.parse(bytes) > 0
  }
}

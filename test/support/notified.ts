/**
 * A service manager as systemd is one: a Unix datagram socket that takes what services tell it. Bun has none of these, so Python
 * holds it, and prints each datagram with its sender and the time at which it came.
 */
import { DatagramSender } from "../../src/cli/service-manager/datagram.ts"
import { LineProcess } from "./line-process.ts"

export interface Told {
  /** The lines of the datagram, by what stands before the first `=`. */
  readonly says: Readonly<Record<string, string>>
  readonly pid: number
  /** Monotonic. */
  readonly microseconds: number
}

const FENCE = "FENCE=1"

const receiver = `
import json, socket, struct, sys, time
path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
listener.bind("\\0" + path[1:] if path[0] == "@" else path)
print("ready", flush=True)
while True:
    data, about, _, _ = listener.recvmsg(4096, 1024)
    pid = struct.unpack("3i", about[0][2])[0]
    print(json.dumps([data.decode(), pid, time.monotonic_ns() // 1000]), flush=True)
`

export class Notified implements AsyncDisposable {
  /** What `NOTIFY_SOCKET` has to say. */
  readonly socket: string
  private readonly child: LineProcess

  private constructor(socket: string) {
    this.socket = socket
    this.child = new LineProcess(["/usr/bin/python3", "-c", receiver, socket])
  }

  /** Listens at a path, or, with \`@\`, at a name. Ended with `await using`. */
  static async at(socket: string): Promise<Notified> {
    const notified = new Notified(socket)
    await notified.child.line()
    return notified
  }

  /** What is told next. */
  async next(): Promise<Told> {
    const [text, pid, microseconds] = JSON.parse(await this.child.line()) as [string, number, number]
    const says = Object.fromEntries(
      text.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    )
    return { says, pid, microseconds }
  }

  /** Everything that is told before this moment and has not been taken. */
  async untilNow(): Promise<Told[]> {
    const sender = new DatagramSender(this.socket)
    sender.send(FENCE, true)
    sender.close()
    const told: Told[] = []
    for (;;) {
      const next = await this.next()
      if ("FENCE" in next.says) return told
      told.push(next)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]()
  }
}

/**
 * A relay that gathers: what the server says goes on at once, what the client says only when it has said everything, so that
 * the server reads in one piece what no client could be relied on to send so. The client's first piece goes on at once.
 */
import type { Socket } from "bun"

interface Ends {
  server: Socket | undefined
  gathered: Buffer[]
  isFirst: boolean
}

/** Relays every connection to `port` until the returned function is called. */
export function gatheringRelay(port: number): { port: number; stop(): void } {
  const servers = new Set<Socket>()
  const listener = Bun.listen<Ends>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      binaryType: "buffer",
      async open(client) {
        client.data = { server: undefined, gathered: [], isFirst: true }
        client.pause()
        const server = await Bun.connect({
          hostname: "127.0.0.1",
          port,
          allowHalfOpen: true,
          socket: {
            binaryType: "buffer",
            data: (_, chunk) => void client.write(chunk),
            error() {},
          },
        })
        servers.add(server)
        client.data.server = server
        client.resume()
      },
      data({ data }, chunk) {
        if (data.isFirst) data.server?.write(chunk)
        else data.gathered.push(Buffer.from(chunk))
        data.isFirst = false
      },
      end({ data }) {
        data.server?.write(Buffer.concat(data.gathered))
      },
      error() {},
    },
  })
  const stop = () => {
    listener.stop(true)
    for (const server of servers) server.terminate()
  }
  return { port: listener.port, stop }
}

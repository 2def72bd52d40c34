import type { HookChains } from "../broker/hook-chains.ts"
import type { ConnectedClient } from "../broker/hooks.ts"
import { Framer, LARGEST_PACKET_BYTES } from "../codec/index.ts"

/**
 * Cuts what goes out over one connection into packets again, for hooks that want to see them. The function that it gives takes
 * `bytes[start, end)` as they go out, from the first of the connection on.
 */
export function tap(hooks: HookChains, link: { readonly client: object | undefined; readonly view: ConnectedClient }) {
  const framer = new Framer(LARGEST_PACKET_BYTES)
  return (bytes: Buffer, start: number, end: number): void => {
    framer.push(bytes.subarray(start, end)) // of a packet in parts it copies what it has to keep
    while (framer.next()) {
      const packet = Buffer.from(framer.bytes.subarray(framer.start, framer.end))
      hooks.tell("onPacketSent", { type: packet[0]! >> 4, bytes: packet }, link.client && link.view)
    }
    framer.release()
  }
}

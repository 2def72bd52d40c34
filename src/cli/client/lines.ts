/** Standard input, as messages. */
import { LARGEST_PACKET_BYTES } from "../../codec/index.ts"
import { CommandFailure } from "../failure.ts"

const LINE_FEED = 0x0a

/**
 * The lines of a stream of bytes, byte for byte, without their ends; the last one may lack its own. Reads no further than it is
 * asked for. Throws a `CommandFailure` for a line that no packet could hold.
 */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let begun: Uint8Array[] = []
  let begunBytes = 0
  for await (const chunk of stream) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      yield Buffer.concat([...begun, chunk.subarray(start, end)])
      begun = []
      begunBytes = 0
      start = end + 1
    }
    begun.push(chunk.subarray(start))
    begunBytes += chunk.length - start
    if (begunBytes > LARGEST_PACKET_BYTES) throw new CommandFailure("a line is longer than any message may be")
  }
  if (begunBytes > 0) yield Buffer.concat(begun)
}

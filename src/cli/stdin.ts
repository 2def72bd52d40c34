import { problemOfReading } from "../auth/text-file.ts"
import { CommandFailure } from "./failure.ts"

/** What is on standard input, byte for byte, as it comes. Throws a `CommandFailure` where it cannot be read. */
export async function* standardInput(): AsyncGenerator<Uint8Array> {
  try {
    yield* process.stdin
  } catch (error) {
    throw new CommandFailure(`cannot read standard input: ${problemOfReading(error)}`, { cause: error })
  }
}

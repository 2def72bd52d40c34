/** Commands that cannot do what they are asked: what they say, and how they end. */
import { FileError } from "../auth/text-file.ts"
import { ManjuError } from "../broker/errors.ts"
import { ConfigurationError } from "../config/errors.ts"

const FAILURE = 1
export const USAGE = 2

/** What a command could not do: one line on standard error, and exit code 1. */
export class CommandFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "CommandFailure"
  }
}

/** What to say of an error, a line each; undefined: nobody has foreseen it. */
export function complaintsOf(error: unknown): readonly string[] | undefined {
  if (error instanceof ConfigurationError) return error.lines
  const isForeseen = [ManjuError, CommandFailure, FileError].some((kind) => error instanceof kind)
  return isForeseen ? [(error as Error).message] : undefined
}

export function exitCodeOf(error: unknown): number {
  return error instanceof ManjuError && error.code === "INVALID_OPTION" ? USAGE : FAILURE
}

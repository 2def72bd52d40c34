/** What went wrong at the public API, for programs. */
export type ErrorCode =
  | "INVALID_OPTION"
  | "INVALID_TOPIC"
  | "INVALID_PAYLOAD"
  | "LISTEN_FAILED"
  | "AUTH_FAILED"
  | "STORE_FAILED"
  | "CLOSED"
  | "OVERFLOW"
  | "TIMEOUT"
  | "NO_RESPONDER"

/**
 * An error of the caller's: `code` for programs, `message` says what to do.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth })).catch((error) => {
 *   if (error instanceof ManjuError && error.code === "LISTEN_FAILED") console.error(`${error.message}: is another broker there?`)
 *   else throw error
 * })
 */
export class ManjuError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "ManjuError"
    this.code = code
  }
}

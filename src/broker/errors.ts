/** What went wrong at the public API, for programs. */
export type ErrorCode = "INVALID_OPTION" | "INVALID_TOPIC" | "LISTEN_FAILED" | "AUTH_FAILED" | "STORE_FAILED" | "CLOSED"

/** An error of the caller's: `code` for programs, `message` says what to do. */
export class ManjuError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "ManjuError"
    this.code = code
  }
}

/** What a command could not do: one line on standard error, and exit code 1. */
export class CommandFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "CommandFailure"
  }
}

import { ManjuError } from "../broker/errors.ts"

/** A configuration that cannot be used, which is a usage error: all that is wrong with it, a line each. */
export class ConfigurationError extends ManjuError {
  readonly lines: readonly string[]

  constructor(lines: readonly string[]) {
    super("INVALID_OPTION", lines.join("\n"))
    this.name = "ConfigurationError"
    this.lines = lines
  }
}

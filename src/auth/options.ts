import { ManjuError } from "../broker/ports.ts"

/** Makes an auth. What it finds wrong with its options meanwhile is its caller's mistake: `INVALID_OPTION`. */
export function making<A>(make: () => A): A {
  try {
    return make()
  } catch (error) {
    throw new ManjuError("INVALID_OPTION", error instanceof Error ? error.message : String(error), { cause: error })
  }
}

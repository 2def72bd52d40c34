/** Which manju this is. A binary of scripts/build also knows what it was made of, and for which machine. */
import { version } from "../package.json" with { type: "json" }

export { version }

export interface Build {
  /** The first twelve digits, with `-dirty` behind them where files differed from it; `unknown` outside of a repository. */
  readonly commit: string
  /** `linux-arm64-musl` */
  readonly target: string
}

/** Put in its place when a binary is made. */
declare const MANJU_BUILD: Build | undefined

/** Undefined: these are the sources, or a bundle of somebody else's. */
export const build: Build | undefined = typeof MANJU_BUILD === "undefined" ? undefined : MANJU_BUILD

/** `0.1.0 (4ae120a1b2c3, linux-arm64)`; of the sources `0.1.0`. */
export function fullVersion(): string {
  return build === undefined ? version : `${version} (${build.commit}, ${build.target})`
}

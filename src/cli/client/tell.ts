import { complain, styled } from "../stderr.ts"

export type Tell = (line: string) => void

/** Says what goes wrong without being the end, on standard error: nothing with `--quiet`. */
export function teller({ quiet }: { quiet?: true }): Tell {
  return (line) => {
    if (!quiet) complain(styled("yellow", `manju: ${line}`))
  }
}

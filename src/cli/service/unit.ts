/**
 * The unit of systemd: manju.service beside this file, with the manju that it shall run.
 *
 * What `manju service install` writes has a line above it with the checksum of the rest, by which a later one knows whether a person has
 * changed it since.
 */
import template from "./manju.service" with { type: "text" }

export const UNIT = "manju.service"

/** Below the root of the machine. */
export const unitPath = `/etc/systemd/system/${UNIT}`
export const configPath = "/etc/manju/manju.toml"

/** Where packages put theirs. */
export const packagedPaths = [`/usr/lib/systemd/system/${UNIT}`, `/lib/systemd/system/${UNIT}`]

/** The unit with these words in front of `start`. */
export function unitFor(command: readonly string[]): string {
  return template.replace("\nExecStart=/usr/local/bin/manju ", () => `\nExecStart=${command.join(" ")} `)
}

/** The unit as `manju service install` writes it. */
export function markedUnitFor(command: readonly string[]): string {
  const unit = unitFor(command)
  return `${markOf(unit)}\n${unit}`
}

/** Who has written what stands there: manju, manju and afterwards a person, or somebody else altogether. */
export function authorOf(text: string): "manju" | "changed" | "stranger" {
  const [mark, unit] = [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1)]
  if (mark === markOf(unit)) return "manju"
  return mark.startsWith(MARK) ? "changed" : "stranger"
}

const MARK = "# Written by manju service install; what follows has the SHA-256 "

function markOf(unit: string): string {
  return MARK + new Bun.CryptoHasher("sha256").update(unit).digest("hex")
}

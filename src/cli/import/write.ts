/** The translation as a file of manju: TOML, with the lines that each key comes from above it, and those that set none at the end. */
import { LARGEST_PACKET_BYTES } from "../../codec/index.ts"
import { toml } from "../../config/describe.ts"
import { printable } from "../printable.ts"
import { definitionOf } from "./directives.ts"
import type { DoorSettings } from "./door.ts"
import { type Directive, placeOf } from "./lines.ts"
import type { Translation } from "./translate.ts"
import type { Setting } from "./whole.ts"

const MASKED = "***"

export function fileOf({ settings, doors, left }: Translation, source: string): string {
  const lines = [
    `# The configuration of manju, from ${printable(source)}.`,
    "# manju check --config with this file says what holds, manju config example what else there is.",
    "# What is not said has manju's own defaults, not Mosquitto's: the queues are longer, and a packet has at most 2 MiB",
    `# (limits.maximumPacketBytes, to ${LARGEST_PACKET_BYTES}).`,
  ]
  writeSettings(lines, settings, "")
  if (doors.length === 0) lines.push("", "listeners = []")
  for (const door of doors) writeDoor(lines, door)
  lines.push(
    "",
    "# For health checks, metrics and the admin API, which manju top and manju health ask:",
    ...["#[[listeners]]", '#type = "http"', '#hostname = "127.0.0.1"', "#port = 8080"],
  )
  if (left.length > 0) lines.push("", "# Not carried over, or not as it was:")
  for (const { directive, why } of left) lines.push(`# ${shown(directive)}: ${why}`)
  return `${lines.join("\n")}\n`
}

/** `mosquitto.conf:12: max_connections 100`, without secrets, for people. */
export function shown(directive: Directive): string {
  const { name, value } = directive
  const said = definitionOf(name)?.isSecret ? MASKED : value
  return printable(`${placeOf(directive)}: ${name} ${said}`.trimEnd())
}

function writeDoor(lines: string[], { from, settings, auth, closed }: DoorSettings): void {
  lines.push(
    "",
    ...(from === undefined ? ["# The listener that Mosquitto has without being told"] : [`# ${shown(from)}`]),
  )
  lines.push("[[listeners]]")
  // Its own line is above all of it already.
  writeSettings(
    lines,
    settings.map((each) => ({ ...each, from: each.from.filter((line) => line !== from) })),
    "listeners",
  )
  if (closed.length > 0) {
    lines.push(
      "",
      "# Nobody may come in until somebody says who, by passwords, jwt, http or allowAnonymous, in place of an empty file:",
    )
    for (const why of closed) lines.push(`# - ${printable(why)}`)
  }
  writeSettings(lines, auth, "listeners", closed.length > 0)
}

/** Keys by the table that they are in, those without a table first. `name`: of the table around. */
function writeSettings(lines: string[], settings: readonly Setting[], name: string, isBegun = false): void {
  const tables = Map.groupBy(settings, ({ key }) => key.split(".").slice(0, -1).join("."))
  for (const table of [...tables.keys()].sort()) {
    const path = [name, table].filter((each) => each !== "").join(".")
    if (table !== "") lines.push(...(isBegun ? [] : [""]), `[${path}]`)
    for (const { key, value, from, note } of tables.get(table)!) {
      if (table === "" && name === "") lines.push("")
      for (const line of from) lines.push(`# ${shown(line)}`)
      if (note !== undefined) lines.push(`# ${note}`)
      lines.push(toml(key.split(".").at(-1)!, value))
    }
  }
}

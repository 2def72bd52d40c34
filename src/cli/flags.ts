/** The flags of the configuration on a command, and those that somebody has given. */
import { type Command, InvalidArgumentError, Option } from "commander"
import * as v from "valibot"
import type { Environment } from "../config/environment.ts"
import { type Flag, flags, usernameChoices } from "../config/flags.ts"
import { takesOf, valueSchema } from "../config/keys.ts"
import type { Given } from "../config/load.ts"
import { fromText } from "../config/text.ts"

const groups = { general: "Options:", clients: "What clients are offered:", limits: "Limits:" } as const

/** The file of the configuration. */
const configFlag = () => new Option("--config <file>", "the configuration, TOML: see manju config example")

/**
 * Puts them on a command, all or those of some names; returns what has been given of them, once its arguments are there.
 *
 * @example
 * const given = takeFlags(command, ["--host", "--http"])
 */
export function takeFlags(command: Command, names?: readonly string[]): (environment: Environment) => Given {
  const isTaken = ({ spelling }: Flag) => names === undefined || names.includes(spelling.split(" ")[0]!)
  const options = new Map(flags.filter(isTaken).map((flag) => [flag, optionOf(flag)]))
  command.addOption(configFlag())
  for (const [{ group }, option] of options) command.addOption(option.helpGroup(groups[group]))
  return (environment) => {
    const values = command.opts<Record<string, unknown>>()
    const given = new Map<string, unknown>()
    for (const option of options.values()) {
      const value = values[option.attributeName()]
      const isGiven = option.negate ? value === false : value !== undefined && value !== false
      if (isGiven) given.set(option.long!, option.negate ? undefined : value)
    }
    return { file: values.config as string | undefined, environment, flags: given }
  }
}

function optionOf({ spelling, help, schema }: Flag): Option {
  const option = new Option(spelling, help)
  if (schema === undefined || !spelling.includes("<")) return option
  if (spelling.startsWith("--log-level")) return option // a list of levels, which are looked at when they are put in place
  if (spelling.startsWith("--tls-username")) return option.choices(usernameChoices)
  const { type, options } = valueSchema(schema)
  if (type === "picklist") return option.choices(options as readonly unknown[] as string[])
  return option.argParser((text) => {
    const value = fromText(schema, text)
    if (v.safeParse(schema, value).success) return value
    throw new InvalidArgumentError(`It takes ${takesOf(schema)}.`)
  })
}

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

/** Puts all of them on a command; returns what has been given of them, once its arguments are there. */
export function takeFlags(command: Command): (environment: Environment) => Given {
  const options = new Map(flags.map((flag) => [flag, optionOf(flag)]))
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
  if (spelling.startsWith("--tls-username")) return option.choices(usernameChoices)
  const { type, options } = valueSchema(schema)
  if (type === "picklist") return option.choices(options as readonly unknown[] as string[])
  return option.argParser((text) => {
    const value = fromText(schema, text)
    if (v.safeParse(schema, value).success) return value
    throw new InvalidArgumentError(`It takes ${takesOf(schema)}.`)
  })
}

/** Whatever the schema accepts says the same in the file, in the environment and by flags. */
import { describe, expect, test } from "bun:test"
import { Command } from "commander"
import { takeFlags } from "../../src/cli/flags.ts"
import { type Flag, flags } from "../../src/config/flags.ts"
import { allKeys, entriesOf, keyName, type Schema } from "../../src/config/keys.ts"
import { load } from "../../src/config/load.ts"
import { listenerSchemas, listenerTypes } from "../../src/config/schema.ts"
import { leavesOf } from "../../src/config/tree.ts"
import { Random } from "../support/bytes.ts"
import { valuesOf, withLoaded } from "../support/configuration.ts"
import { asEnvironment, randomConfiguration } from "../support/random-configuration.ts"

const ROUNDS = 250

describe("the same configuration", () => {
  const rounds = Array.from({ length: ROUNDS }, (_, seed) => {
    const random = new Random(seed)
    return { seed, random, values: randomConfiguration(random) }
  })

  test("is the same in the file and in the environment: value by value, in JSON, and mixed", async () => {
    for (const { seed, random, values } of rounds) {
      const expected = await valuesOf({ file: Bun.TOML.stringify(values) })
      for (const jsonProbability of [0, 0.3, 1]) {
        const environment = asEnvironment(random, values, jsonProbability)
        const found = await valuesOf({ environment }).catch((error) => error.lines)
        expect([seed, jsonProbability, found]).toEqual([seed, jsonProbability, expected])
      }
    }
  })

  test("is the same half in the file and half in the environment, whichever half", async () => {
    for (const { seed, random, values } of rounds) {
      const expected = await valuesOf({ file: Bun.TOML.stringify(values) })
      const inFile = Object.entries(values).filter(() => random.chance(0.5))
      const others = Object.entries(values).filter(([name]) => !inFile.some(([each]) => each === name))
      const found = await valuesOf({
        file: Bun.TOML.stringify(Object.fromEntries(inFile)),
        environment: asEnvironment(random, Object.fromEntries(others), 0.3),
      })
      expect([seed, found]).toEqual([seed, expected])
    }
  })

  test("has been one with every key, of every type of listener", async () => {
    const seen = new Set<string>()
    for (const { values } of rounds) {
      await withLoaded({ file: Bun.TOML.stringify(values) }, ({ tree, values }) => {
        for (const [path, { source }] of leavesOf(tree)) {
          const [top, at, ...rest] = path
          if (source.kind !== "file") continue
          seen.add(top === "listeners" ? `${values.listeners[at as number]!.type} ${rest.join(".")}` : path.join("."))
        }
      })
    }
    const keys = allKeys().filter(({ schema }) => entriesOf(schema) === undefined)
    const atTop = keys.flatMap(({ path }) => (path[0] === "listeners" ? [] : [path.join(".")]))
    const ofListeners = listenerTypes.flatMap((type) => namesBelow(listenerSchemas[type] as never, `${type} `))
    // Left out, since they take others away: see `randomConfiguration`.
    const left = /jwt\.(?:secret|key)$|^tcp usernameFrom$/
    expect([...atTop, ...ofListeners].filter((name) => !seen.has(name) && !left.test(name))).toEqual([])
  })
})

function namesBelow(schema: Schema, before: string): string[] {
  return Object.entries(entriesOf(schema)!).flatMap(([name, entry]) => {
    return entriesOf(entry) === undefined ? [before + name] : namesBelow(entry, `${before}${name}.`)
  })
}

describe("flags", () => {
  /** What a flag is given, and what of it stands in the file. */
  const arguments_: Record<string, [text: string, value: unknown]> = {
    "--host": ["::1", "::1"],
    "--origins": ["https://a.example, https://b.example", ["https://a.example", "https://b.example"]],
    "--tls-username": ["san", "subjectAltName"],
    "--durability": ["process", "process"],
    "--log-level": ["warn", "warn"],
    "--log-format": ["json", "json"],
    "--protocol-levels": ["3.1.1,5", ["3.1.1", "5"]],
    "--maximum-qos": ["1", 1],
    "--mount-point": ["a/", "a/"],
  }
  const given = (flag: Flag, name: string): [text: string | undefined, value: unknown] => {
    if (flag.schema === undefined) return [undefined, !name.startsWith("--no-")]
    return (
      arguments_[name] ??
      (flag.schema.type.includes("number") || /port|<n>|<seconds>/.test(flag.spelling) ? ["1234", 1234] : ["/x", "/x"])
    )
  }
  /** Of which of the listeners that are there by themselves a flag is. */
  const listenersOf = (name: string, flag: Flag): string[] => {
    const only: Record<string, string[]> = {
      "--tcp": ["tcp"],
      "--ws": ["websocket"],
      "--http": ["http"],
      "--unix": ["unix"],
    }
    if (name.startsWith("--tls-"))
      return ["tcp", "websocket"].filter((type) => name !== "--tls-username" || type === "tcp")
    const having = listenerTypes.filter((type) => flag.path[2]! in listenerSchemas[type].entries && type !== "unix")
    return only[name] ?? having
  }
  /** Those that take listeners out; what is left is told elsewhere. */
  const takingOut = /^--no-(?:tcp|ws|http)$/

  for (const flag of flags) {
    const name = flag.spelling.split(" ")[0]!
    if (takingOut.test(name)) continue
    test(`${flag.spelling} is ${keyName(flag.path)}`, async () => {
      const [text, value] = given(flag, name)
      // A certificate has a key, and a name in it somebody who has signed it.
      const needed = name.startsWith("--tls-")
        ? ["--tls-cert", "--tls-key", "--tls-ca"].filter((each) => each !== name)
        : []
      const args = [name, ...(text === undefined ? [] : [text]), ...needed.flatMap((each) => [each, "/needed"])]
      const command = new Command().exitOverride()
      const read = takeFlags(command)
      command.parse(args, { from: "user" })
      const { values } = await load(read({}))
      const listeners = ["tcp", "unix", "websocket", "http"]
        .filter((type) => (type === "unix" ? name === "--unix" : name !== "--tls-username" || type !== "websocket"))
        .map((type) => ({ type, ...(needed.length > 0 && type !== "http" && { tls: tlsOf(needed) }) }))
      const config: Record<string, unknown> = { listeners }
      const [, , ...inside] = flag.path
      if (flag.path[0] !== "listeners") put(config, flag.path, value)
      else for (const item of listeners) if (listenersOf(name, flag).includes(item.type)) put(item, inside, value)
      expect(values).toEqual(await valuesOf({ file: Bun.TOML.stringify(config) }))
    })
  }

  const tlsOf = (names: string[]) => Object.fromEntries(names.map((name) => [name.slice("--tls-".length), "/needed"]))
  const put = (table: Record<string, unknown>, [first, ...rest]: readonly string[], value: unknown): void => {
    if (rest.length === 0) table[first!] = value
    else put((table[first!] ??= {}) as Record<string, unknown>, rest, value)
  }
})

/** What the command line of `bun run bench` says: which brokers, in which order, and what is kept of it beside results. */
import { describe, expect, test } from "bun:test"
import { basename } from "node:path"
import { launchesOf, launchOf } from "../../scripts/bench/broker.ts"
import { command } from "../../scripts/bench/load/index.ts"
import { commandLine, presentable, UsageError } from "../../scripts/bench/options.ts"
import { rotated } from "../../scripts/bench/site.ts"

const place = { directory: "/files", isKept: false }
const program = process.execPath

describe("a broker is named on the command line", () => {
  test("manju and the relay by their names", () => {
    expect(launchOf("manju").label).toBe("manju")
    expect(launchOf("relay")).toMatchObject({ label: "relay", isYardstick: true })
  })

  test("any other by a command, where {port} and {folder} stand for what each measurement has", () => {
    const launch = launchOf(`${program} 'a broker.ts' --url=tcp://127.0.0.1:{port} "{folder}/data"`)
    expect(launch.command(1234, place)).toEqual([program, "a broker.ts", "--url=tcp://127.0.0.1:1234", "/files/data"])
    expect(launch).toMatchObject({ label: basename(program), version: "" })
  })

  test("with what it is to be called in front", () => {
    const launch = launchOf(`Mochi-v2 2.7.9=${program} mochi {port}`)
    expect(launch.label).toBe("Mochi-v2 2.7.9")
    expect(launch.command(1234, place)).toEqual([program, "mochi", "1234"])
    expect(launchOf("before=manju").command(1, place)).toEqual(launchOf("manju").command(1, place))
  })

  test("an = of the command's own is no name", () => {
    expect(launchOf("sh --url=tcp://127.0.0.1:{port}").label).toBe("sh")
  })

  for (const specification of ["nothing", "no-such-program {port}", "name=nothing"])
    test(`and '${specification}' is none`, () => expect(() => launchOf(specification)).toThrow(UsageError))

  test("two of one name are told apart", () => {
    const labels = launchesOf(["manju", "relay", "manju", "x=manju", "manju"]).map(({ label }) => label)
    expect(labels).toEqual(["manju", "relay", "manju (2)", "x", "manju (3)"])
  })
})

describe("several brokers", () => {
  const against = (...words: string[]) => {
    const load = command()
    load.parseOptions(words)
    return load.opts().against
  }

  test("are each named by an --against of its own, and measured in that order", () => {
    expect(against("--against", "relay", "--rounds", "1", "--against=x=manju")).toEqual(["relay", "x=manju"])
    expect(against()).toEqual([])
  })

  test("take turns at going first", () => {
    const brokers = ["manju", "mosquitto", "relay"]
    expect([0, 1, 2, 3].map((round) => rotated(brokers, round)[0])).toEqual(["manju", "mosquitto", "relay", "manju"])
    expect(rotated(brokers, 1)).toEqual(["mosquitto", "relay", "manju"])
  })
})

describe("beside results is kept", () => {
  const mochi = "Mochi 2.7.9=/home/me/mochi {port}"

  test("the command, without paths of this machine", () => {
    const words = ["stresser", "--tool=/home/me/mqtt-stresser", "--against", mochi, "--json", "/tmp/x.json", "--no-pin"]
    expect(commandLine(words)).toBe('bun run bench stresser --tool mqtt-stresser --against "Mochi 2.7.9" --no-pin')
    expect(commandLine(["--", "--against", "mosquitto", "--rounds", "3", "--only", "^pairs$"])).toBe(
      'bun run bench --against mosquitto --rounds 3 --only "^pairs\\$"',
    )
  })

  test("the options likewise", () => {
    const options = { against: [mochi, "relay"], broker: "manju", json: "/tmp/x.json", rounds: 3, pin: true }
    expect(presentable(options)).toEqual({ against: ["Mochi 2.7.9", "relay"], broker: "manju", rounds: 3, pin: true })
  })
})

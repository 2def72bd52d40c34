/** `manju sub -F` and `mosquitto_sub -F` side by side: both subscribe to Debian's mosquitto, and print the same of the same. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import type { IClientPublishOptions } from "mqtt"
import { describeWith, run } from "../clients/support.ts"
import { manjuCommand } from "../support/command.ts"
import { Mosquitto, mosquittoPath } from "../support/mosquitto.ts"
import { connect, endClients } from "../support/mqttjs.ts"

setDefaultTimeout(60_000)

const isInstalled = mosquittoPath !== null && Bun.which("mosquitto_sub") !== null
const describe = describeWith("mosquitto_sub", isInstalled, "apt-get install mosquitto mosquitto-clients")

/** What is retained, so that both get it in the same order. */
const messages: [topic: string, payload: string | Buffer, options: IClientPublishOptions][] = [
  ["f/plain", "hello", { qos: 0 }],
  ["f/wörter/und/mehr", "grün ☃ 日本", { qos: 1 }],
  ["f/bytes", Buffer.from([1, 2, 0x1b, 0x80, 0xff, 0x0a, 0x41]), { qos: 2 }],
  ["f/json", '{"temperature":27.5,"list":[1,"zwei",null,true],"quote":"\\"","slash":"a/b"}', { qos: 1 }],
  [
    "f/properties",
    "with all",
    {
      qos: 1,
      properties: {
        payloadFormatIndicator: true,
        messageExpiryInterval: 3_000_000_000,
        contentType: "text/plain",
        responseTopic: "answers/to/me",
        correlationData: Buffer.from("17"),
        userProperties: { unit: "°C", place: "cellar" },
      },
    },
  ],
]

const formats: string[] = [
  ...["%t", "%p", "%t %p", "%q%r", "%l", "%m", "%x", "%X", "%%", "@@", "no directive"],
  ...["%20t|", "%-20t|", "%.4t|", "%20.4t|", "%-20.4t|", "%020t|", "%5.t|"],
  ...["%20p|", "%-20p|", "%020p|", "%3p|", "%-3p|"],
  ...["%5l|", "%-5l|", "%05l|", "%-05l|", "%6m|", "%06m|", "%1l|"],
  ...["%C|%D|%E|%F|%P|%R|%S|%A", "%12C|%-12C|%.4C|%12.4C|%-12.4C", "%5F|%05F|%-5F|%5A|%05A|%5S|%05S", "%20R|%-20R|%.3R"],
  ...["%0E|%20C|%010q|%5r|%9D|%9P|%9%"],
  ...["\\\\ \\0 \\a \\e \\n \\r \\t \\v", "%t\\t%q\\t%p", "ä%tö@@ü"],
  ...["%j", "%j %t %j"],
]

describe("the same -F string prints the same line from manju sub and mosquitto_sub", () => {
  let broker: Mosquitto
  beforeAll(async () => {
    broker = await Mosquitto.start("allow_anonymous true")
    const { client } = await connect(broker.port, 5)
    for (const [topic, payload, options] of messages) await client.publishAsync(topic, payload, { ...options, retain: true })
  })
  afterAll(async () => {
    endClients()
    await broker?.[Symbol.asyncDispose]()
  })

  /** What each of the two prints of all messages. */
  async function both(version: string, ...args: string[]): Promise<[ours: string, theirs: string]> {
    const shared = ["-h", "127.0.0.1", "-p", String(broker.port), "-V", version, "-q", "2", ...args]
    const count = args.includes("-C") ? [] : ["-t", "f/#", "-C", String(messages.length)]
    const programs = [manjuCommand("sub"), ["mosquitto_sub"]]
    const printed = await Promise.all(programs.map((program) => run([...program, ...shared, ...count])))
    return printed as [string, string]
  }

  for (const format of formats)
    test(format, async () => {
      const [ours, theirs] = await both("mqttv5", "-F", format)
      expect(withoutTime(ours)).toBe(withoutTime(theirs))
    })

  test("%J of payloads that are JSON", async () => {
    const [ours, theirs] = await both("5", "-F", "%J", "-t", "f/json", "-C", "1")
    expect(withoutTime(ours)).toBe(withoutTime(theirs))
    expect(ours).toContain('"payload":{"temperature":27.5,"list":[1,"zwei",null,true]')
  })

  for (const version of ["mqttv31", "mqttv311"])
    test(`${version}, which has no properties`, async () => {
      const [ours, theirs] = await both(version, "-F", "%t|%q|%r|%m|%l|%C|%5E|%R|%P|%S|%A|%j")
      expect(withoutTime(ours)).toBe(withoutTime(theirs))
    })

  for (const args of [["-v"], [], ["-v", "-N"], ["-N"], ["-N", "-F", "%t,"]])
    test(`and so do both with ${args.join(" ") || "none"}`, async () => {
      const [ours, theirs] = await both("5", ...args)
      expect(ours).toBe(theirs)
    })

  test("the time is the same, to the minute", async () => {
    const format = "@Y-@m-@d @H:@M|@a @A @b @B @C @D @e @F @g @G @h @I @j @k @l @n @p @P @R @t @u @U @V @w @W @x @y @z @Z @%"
    let [ours, theirs] = await both("5", "-F", format)
    if (ours !== theirs) [ours, theirs] = await both("5", "-F", format) // a minute may end between the two, once
    expect(ours).toBe(theirs)
  })

  for (const format of ["%I", "%30I", "%-30I|", "%.10I", "%U", "@c", "@r", "@s", "@S", "@T", "@X", "@N"])
    test(`${format} is of the same form`, async () => {
      const [ours, theirs] = await both("5", "-F", format)
      expect(ours.replaceAll(/\d/g, "0")).toBe(theirs.replaceAll(/\d/g, "0"))
    })

  for (const format of ["%", "%10", "@", "\\", "\\x", "%y", "%-"])
    test(`${format} is a mistake to both`, async () => {
      const options = ["-h", "127.0.0.1", "-p", String(broker.port), "-t", "f/#", "-F", format]
      const codes = [manjuCommand("sub"), ["mosquitto_sub"]].map((program) => Bun.spawnSync([...program, ...options]).exitCode)
      expect(codes).toEqual([2, 1])
    })
})

/** The time of `%j`; mosquitto_sub 2.0.11 has a Z before the zone, which later ones have not. */
function withoutTime(printed: string): string {
  return printed.replaceAll(/"tst":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z?[+-]\d{4}"/g, '"tst":"…"')
}

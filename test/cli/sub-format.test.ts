/** `manju sub -F` and `mosquitto_sub -F` side by side: both subscribe to Debian's mosquitto, and print the same of the same. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import type { IClientPublishOptions } from "mqtt"
import { parseFormat } from "../../src/cli/client/format.ts"
import { describeWith, run } from "../clients/support.ts"
import { manjuCommand } from "../support/command.ts"
import { Mosquitto, mosquittoPath } from "../support/mosquitto.ts"
import { connect, endClients } from "../support/mqttjs.ts"

setDefaultTimeout(60_000)

const isInstalled = mosquittoPath !== null && Bun.which("mosquitto_sub") !== null
const describe = describeWith("mosquitto_sub", isInstalled, "apt-get install mosquitto mosquitto-clients")

/** What is retained, so that both get it in the same order; QoS 2 last, which mosquitto_sub prints when it is released. */
const messages: [topic: string, payload: string | Buffer, options: IClientPublishOptions][] = [
  ["f/plain", "hello", { qos: 0 }],
  ["f/wörter/und/mehr", "grün ☃ 日本", { qos: 1 }],
  ["f/json", '{"temperature":27.5,"list":[1,"zwei",null,true],"quote":"\\"","slash":"a/b"}', { qos: 1 }],
  [
    "f/properties",
    "with all",
    {
      qos: 1,
      properties: {
        payloadFormatIndicator: true,
        messageExpiryInterval: 2_000_000_000,
        contentType: "text/plain",
        responseTopic: "answers/to/me",
        correlationData: Buffer.from("17"),
        userProperties: { unit: "°C", place: "cellar" },
      },
    },
  ],
  ["f/bytes", Buffer.from([1, 2, 0x1b, 0x80, 0xff, 0x0a, 0x41]), { qos: 2 }],
]

/** What neither the time nor the place of a message in its session changes. */
const formats: string[] = [
  ...["%t", "%p", "%t %p", "%q%r", "%l", "%m", "%x", "%X", "%%", "@@", "no directive"],
  ...["%20t|", "%-20t|", "%.4t|", "%20.4t|", "%-20.4t|", "%020t|", "%5.t|"],
  ...["%20p|", "%-20p|", "%020p|", "%3p|", "%-3p|"],
  ...["%5l|", "%-5l|", "%05l|", "%-05l|", "%6m|", "%06m|", "%1l|"],
  ...["%C|%D|%F|%P|%R|%S|%A", "%12C|%-12C|%.4C|%12.4C|%-12.4C", "%5F|%05F|%-5F|%5A|%05A|%5S|%05S", "%20R|%-20R|%.3R"],
  ...["%20C|%010q|%5r|%9D|%9P|%9%", "\\\\ \\0 \\a \\e \\n \\r \\t \\v", "%t\\t%q\\t%p", "ä%tö@@ü"],
]

/** What the time changes: compared with every digit a 0. */
const timely: string[] = [
  ...["%E", "%12E|%-12E|%012E", "%j", "%I", "%30I", "%-30I|", "%.10I", "%U", "@N"],
  ...[..."aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%EOQ"].map((letter) => `@${letter}`),
]

const all = [...formats, ...timely]
/** Between what the formats print, and behind each message. */
const [BETWEEN, BEHIND] = ["\x1e", "\x1d"]

describe("the same -F string prints the same line from manju sub and mosquitto_sub", () => {
  let broker: Mosquitto
  beforeAll(async () => {
    broker = await Mosquitto.start("allow_anonymous true")
    const { client } = await connect(broker.port, 5)
    for (const [topic, payload, options] of messages) {
      await client.publishAsync(topic, payload, { ...options, retain: true })
    }
  })
  afterAll(async () => {
    endClients()
    await broker?.[Symbol.asyncDispose]()
  })

  /** What each of the two prints. */
  async function both(...args: string[]): Promise<[ours: string, theirs: string]> {
    const options = ["-h", "127.0.0.1", "-p", String(broker.port), "-q", "2", ...args]
    const printed = [manjuCommand("sub"), ["mosquitto_sub"]].map((program) => run([...program, ...options]))
    return (await Promise.all(printed)) as [string, string]
  }

  const everything = ["-t", "f/#", "-C", String(messages.length)]

  for (const version of ["mqttv5", "mqttv311", "mqttv31"])
    describe(version, () => {
      /** Of each of the two: for each message what each format has made of it. */
      let printed: string[][][]
      beforeAll(async () => {
        const outputs = await both("-V", version, ...everything, "-N", "-F", all.join(BETWEEN) + BEHIND)
        printed = outputs.map((output) => output.split(BEHIND).map((message) => message.split(BETWEEN)))
      })

      for (const [index, format] of all.entries())
        test(format, () => {
          const [ours, theirs] = printed.map((messages) => messages.map((each) => each[index]))
          expect(ours!.length).toBe(messages.length + 1)
          const comparable = timely.includes(format) ? withoutTime : String
          expect(ours!.map(comparable)).toEqual(theirs!.map(comparable))
        })
    })

  test("%J of payloads that are JSON", async () => {
    const [ours, theirs] = await both("-V", "5", "-F", "%J", "-t", "f/json", "-C", "1")
    expect(withoutTime(ours)).toBe(withoutTime(theirs))
    expect(ours).toContain('"payload":{"temperature":27.5,"list":[1,"zwei",null,true]')
  })

  for (const args of [["-v"], [], ["-v", "-N"], ["-N"], ["-N", "-F", "%t,"]])
    test(`and so do both with ${args.join(" ") || "no option"}`, async () => {
      const [ours, theirs] = await both("-V", "5", ...everything, ...args)
      expect(ours).toBe(theirs)
    })

  test("the date is the same", async () => {
    const dated = () =>
      both("-V", "5", ...everything, "-F", "@Y-@m-@d @a @A @b @B @C @D @e @F @g @G @h @j @u @U @V @w @W @x @y @z @Z")
    let [ours, theirs] = await dated()
    if (ours !== theirs) [ours, theirs] = await dated() // a day may end between the two, once
    expect(ours).toBe(theirs)
  })

  for (const format of ["%", "%10", "@", "\\", "\\x", "%y", "%-"])
    test(`${format} is a mistake`, async () => {
      const { exitCode } = Bun.spawnSync(["mosquitto_sub", "-p", String(broker.port), "-t", "f/#", "-F", format])
      expect(exitCode).toBe(1)
      expect(() => parseFormat(format, { shown: String, isPretty: false, warn: () => {} })).toThrow(/^-F: /)
    })
})

/** Every digit a 0, every name of a day or month the same. mosquitto_sub 2.0.11 has a Z in `%j`, which later ones have not. */
function withoutTime(printed: string | undefined = ""): string {
  const digits = printed.replaceAll(/Z(?=[+-]\d{4}")/g, "").replaceAll(/\d/g, "0")
  return digits.replaceAll(/\b[A-Z][a-z]+\b/g, "Name").replaceAll(/\b(?:[AP]M|[ap]m)\b/g, "am")
}

/** `manju top` against a broker that runs: what it prints, what it shows on a terminal, and how it leaves that. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess } from "../support/broker-process.ts"
import { manju, manjuCommand, manjuWith } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { Terminal } from "../support/terminal.ts"

setDefaultTimeout(60_000)

const urlOf = (broker: BrokerProcess) => `http://127.0.0.1:${broker.portOf("http")}`
const startBroker = (http = 0) => BrokerProcess.run("start", "--tcp", "0", "--no-ws", "--http", String(http))

/** Publishes to these topics again and again, until it is disposed of. */
async function traffic(broker: BrokerProcess, ...topics: string[]) {
  const client = await RawClient.connect(broker.port, "pump", 5)
  const timer = setInterval(() => topics.map((topic) => client.publish(topic, "12345")), 20)
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      client.end()
    },
  }
}

let broker: BrokerProcess
let pump: Disposable
beforeAll(async () => {
  broker = await startBroker()
  pump = await traffic(broker, "kitchen/light", "cellar/pump")
})
afterAll(async () => {
  pump[Symbol.dispose]()
  await broker.kill()
})

describe("manju top", () => {
  test("--once prints a frame as plain text, and ends", async () => {
    const { code, out, err } = await manju("top", "--url", urlOf(broker), "--once")
    expect([code, err]).toEqual([0, ""])
    const lines = out.split("\n")
    expect(lines[0]).toMatch(new RegExp(`^manju \\d+\\.\\d+\\.\\d+ at ${urlOf(broker)}, up \\d+ `))
    expect(lines[1]).toBe("clients   1   1 connection   1 session   0 subscriptions")
    expect(out).toMatch(/^ +\d+ +\d+ +5 B +0 {3}kitchen\/light$/m)
    expect(out).toMatch(/^ +\d+ +0 {2}- +pump$/m)
    expect(out).not.toContain("\x1b")
  })

  test("--once --json prints it as JSON", async () => {
    const args = ["--once", "--json", "--rows", "1", "--topics", "cellar/#"]
    const { code, out } = await manjuWith({ MANJU_ADMIN_URL: urlOf(broker) }, "top", ...args)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      figures: { clients: 1 },
      topics: [{ topic: "cellar/pump", payloadBytes: 5, qos: 0, retain: false }],
      clients: [{ clientId: "pump" }],
    })
  })

  test("without a terminal prints frame after frame, and ends with 0 at a signal", async () => {
    await using top = new LineProcess(manjuCommand("top", "--url", urlOf(broker)))
    const titles: string[] = []
    while (titles.length < 2) {
      const line = await top.line()
      if (line.startsWith("topics")) titles.push(line)
    }
    top.signal("SIGTERM")
    expect([await top.ended(), titles, top.err]).toEqual([0, ["topics # by rate", "topics # by rate"], ""])
  })

  test("of a broker that is not there says so, and ends with 1", async () => {
    const { code, err } = await manju("top", "--url", "http://127.0.0.1:1", "--once")
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^manju: cannot ask http:\/\/127\.0\.0\.1:1: nothing listens there/),
    ])
  })

  test("refused, says what to give, and takes it from the environment", async () => {
    const doors = ["--tcp", "0", "--no-ws", "--http", "0"]
    const TOKEN = "correct-horse-battery"
    await using guarded = await BrokerProcess.runWith({ MANJU_ADMIN_TOKEN: TOKEN }, "start", ...doors)
    const place = { MANJU_ADMIN_URL: urlOf(guarded) }
    const { code, err } = await manjuWith(place, "top", "--once")
    expect([code, err]).toEqual([1, expect.stringContaining("--token-file, or $MANJU_ADMIN_TOKEN, gives the token")])
    expect(await manjuWith({ ...place, MANJU_ADMIN_TOKEN: TOKEN }, "top", "--once")).toMatchObject({ code: 0, err: "" })
    expect(await manjuWith({ ...place, MANJU_ADMIN_TOKEN: "x" }, "top", "--once")).toMatchObject({ code: 1, out: "" })
  })

  test.each([
    [["--topics", "a#"], "It takes a topic filter"],
    [["--interval", "0.5"], "It takes seconds from 1 to 3600."],
    [["--rows", "0"], "It takes"],
    [["--url", "ftp://x"], "--url takes http[s]://"],
  ])("%j is refused, with 2", async (args, problem) => {
    const { code, err } = await manju("top", ...args)
    expect([code, err]).toEqual([2, expect.stringContaining(problem)])
  })
})

describe("on a terminal", () => {
  const [ENTERS, LEAVES] = ["\x1b[?1049h", "\x1b[?1049l"]

  /** At a terminal of that size, once it shows topics. */
  async function shown(at: BrokerProcess, ...args: string[]) {
    using started = new DisposableStack() // of a test that fails here nothing goes on
    const terminal = started.use(new Terminal())
    const settings = await terminal.settings()
    terminal.resize(100, 30)
    terminal.run(manjuCommand("top", "--url", urlOf(at), ...args), { NO_COLOR: undefined, TERM: "xterm-256color" })
    await terminal.shows("kitchen/light")
    /** Waits until something is shown that was not there when this was called. */
    const next = (text: string) => {
      const from = terminal.shown.length
      return eventually(() => terminal.shown.includes(text, from), `«${text}» once more`)
    }
    /** Waits for the end; the terminal is to be as it was. */
    const left = async () => {
      await eventually(() => terminal.painted.endsWith(LEAVES), "the screen to be left")
      const code = await terminal.exited()
      expect(await terminal.settings()).toBe(settings)
      return code
    }
    started.move()
    return { terminal, next, left, [Symbol.dispose]: () => terminal[Symbol.dispose]() }
  }

  test("it has a screen of its own, in colour, and q leaves it as it was", async () => {
    using top = await shown(broker)
    expect(top.terminal.painted).toContain(ENTERS)
    expect(top.terminal.painted).toContain("\x1b[1mmanju ")
    top.terminal.press("q")
    expect(await top.left()).toBe(0)
  })

  test.each(["Ctrl-C", "SIGTERM", "SIGHUP"] as const)("so does %s", async (what) => {
    using top = await shown(broker)
    if (what === "Ctrl-C") top.terminal.press("\x03")
    else top.terminal.signal(what)
    expect(await top.left()).toBe(0)
  })

  test("it ends when the terminal is gone", async () => {
    using top = await shown(broker)
    top.terminal.close()
    expect(await top.terminal.exited()).toBe(0)
  })

  test("keys sort, halt, and take another topic filter", async () => {
    using top = await shown(broker)
    top.terminal.press("s")
    await top.next("topics # by size")
    top.terminal.press("/cellar/+")
    await top.next("topic filter, such as sensors/#: cellar/+")
    top.terminal.press("\r")
    await top.next("topics cellar/+ by size")
    await top.next("cellar/pump")
    top.terminal.press("/a#\r")
    await top.next("a# is not a topic filter")
    await top.next("event loop late") // the next frame
    await top.next("a# is not a topic filter") // which says so still, until a key is pressed
    top.terminal.press(" ")
    await top.next("halted: space goes on")
    top.terminal.press("q")
    expect(await top.left()).toBe(0)
  })

  test("it takes the room that there is", async () => {
    using top = await shown(broker)
    top.terminal.resize(30, 12)
    await top.next("q quit  s sort topics  c sort…")
    top.terminal.press("q")
    await top.left()
  })

  test("a broker that is started again is found again; one that refuses then ends it", async () => {
    await using first = await startBroker()
    const port = first.portOf("http")
    using pumpOfFirst = await traffic(first, "kitchen/light")
    using top = await shown(first)
    await first.kill()
    pumpOfFirst[Symbol.dispose]()
    await top.next("trying again: ")
    const second = await startBroker(port)
    using _ = await traffic(second, "attic/lamp")
    await top.next("attic/lamp")
    await second.kill()
    await using third = await BrokerProcess.runWith(
      { MANJU_ADMIN_TOKEN: "correct-horse-battery" },
      ...["start", "--tcp", "0", "--no-ws", "--http", String(port)],
    )
    expect(third.portOf("http")).toBe(port)
    await eventually(() => top.terminal.shown.includes("gives the token"), "the refusal")
    expect(top.terminal.painted).toContain(LEAVES)
  })
})

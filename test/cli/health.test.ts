/** `manju health`: whom it asks, what it makes of the answers, and that it ends. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { dashboard } from "../../src/index.ts"
import { closeBrokers, serve } from "../listeners/brokers.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { manju, manjuWith } from "../support/command.ts"

setDefaultTimeout(60_000)

const certificates = Certificates.forTests()
afterEach(closeBrokers)

/** The port of a broker that is well. */
async function healthy(options: Parameters<typeof dashboard>[0] = {}): Promise<number> {
  return (await serve(dashboard({ port: 0, ...options }))).port
}

const fine = (at: string, says = "ok") => ({ code: 0, out: `${at}: ${says}\n`, err: "" })
const failed = (line: string, code = 1) => ({ code, out: "", err: `manju: ${line}\n` })

describe("a broker that is well is said to be, with exit code 0", () => {
  for (const [flags, path, says] of [
    [[], "/healthz", "ok"],
    [["--ready"], "/readyz", "ready"],
  ] as const)
    test(`${path}, asked by ${["manju health", ...flags].join(" ")}`, async () => {
      const port = await healthy()
      const at = `http://127.0.0.1:${port}`
      expect(await manju("health", ...flags, "--url", at)).toEqual(fine(at + path, says))
      expect(await manju("health", ...flags, "--url", `localhost:${port}`)).toEqual(
        fine(`http://localhost:${port}${path}`, says),
      )
    })

  test("at the port that start was told, by a flag, a variable or a file", async () => {
    using folder = temporaryFolder()
    const port = await healthy()
    const file = join(folder.path, "manju.toml")
    writeFileSync(file, `[[listeners]]\ntype = "http"\nport = ${port}\n`)
    const expected = fine(`http://127.0.0.1:${port}/healthz`)
    expect(await manju("health", "--http", String(port))).toEqual(expected)
    expect(await manju("health", "--config", file)).toEqual(expected)
    expect(await manjuWith({ MANJU_CONFIG: file }, "health")).toEqual(expected)
    expect(await manjuWith({ MANJU_LISTENERS_2_PORT: String(port) }, "health")).toEqual(expected)
  })

  test("where start listens on all addresses this machine's is asked", async () => {
    await using broker = await BrokerProcess.start("--host", "0.0.0.0", "--allow-anonymous", "--http", "0")
    const port = String(broker.portOf("http"))
    const expected = fine(`http://127.0.0.1:${port}/healthz`)
    expect(await manju("health", "--host", "0.0.0.0", "--http", port)).toEqual(expected)
  })

  test("without a look at a proxy", async () => {
    const port = String(await healthy())
    const { code } = await manjuWith({ http_proxy: "http://127.0.0.1:1" }, "health", "--http", port)
    expect(code).toBe(0)
  })

  test("although the configuration has become bad since the broker has read it", async () => {
    using folder = temporaryFolder()
    const port = await healthy()
    const file = join(folder.path, "manju.toml")
    const expected = fine(`http://127.0.0.1:${port}/healthz`)
    writeFileSync(file, `nonsense = 1\n[[listeners]]\ntype = "http"\nhostname = "0.0.0.0"\nport = ${port}\n`)
    expect(await manju("health", "--config", file)).toEqual(expected)
    writeFileSync(file, "no TOML\n")
    expect(await manju("health", "--config", file, "--http", String(port))).toEqual(expected)
    expect(await manju("health", "--config", join(folder.path, "gone.toml"), "--http", String(port))).toEqual(expected)
  })

  for (const isMutual of [false, true])
    test(`over TLS${isMutual ? ", where clients have to show a certificate" : ""}`, async () => {
      using folder = temporaryFolder()
      const tls = { ...certificates.files("server"), ...(isMutual && { ca: certificates.path("ca.crt") }) }
      const port = await healthy({ tls })
      const file = join(folder.path, "manju.toml")
      const inline = Object.entries(tls).map(([name, path]) => `${name} = "${path}"`)
      writeFileSync(file, `[[listeners]]\ntype = "http"\nport = ${port}\ntls = { ${inline.join(", ")} }\n`)
      expect(await manju("health", "--config", file)).toEqual(fine(`https://127.0.0.1:${port}/healthz`))
    })

  test("over TLS at --url, whose certificate has to be right", async () => {
    const port = await healthy({ tls: certificates.files("server") })
    const url = `https://localhost:${port}`
    const expected = fine(`${url}/healthz`)
    expect(await manju("health", "--url", url, "--cafile", certificates.path("ca.crt"))).toEqual(expected)
    const stranger = await manju("health", "--url", url)
    expect([stranger.code, stranger.err]).toEqual([1, expect.stringContaining("has signed its certificate")])
  })
})

describe("one that is not is said to be in one line, with exit code 1", () => {
  const answering = (answer: () => Response | Promise<Response>) =>
    Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer })

  test("where it is not ready: what it says of that", async () => {
    using server = answering(() => new Response("the store fails\n", { status: 503 }))
    const url = `http://127.0.0.1:${server.port}`
    expect(await manju("health", "--ready", "--url", url)).toEqual(failed(`${url}/readyz: the store fails`))
  })

  test("where nothing listens", async () => {
    const server = answering(() => new Response())
    const url = `http://127.0.0.1:${server.port}`
    await server.stop(true)
    expect(await manju("health", "--url", url)).toEqual(failed(`${url}/healthz: nothing listens there`))
  })

  for (const [name, answer] of [
    ["anything", () => new Response("welcome\n")],
    ["ready, which was not asked", () => new Response("ready\n")],
    ["another status", () => new Response("ok\n", { status: 202 })],
    ["a way elsewhere", () => Response.redirect("/healthz?again")],
  ] as const)
    test(`where somebody else answers: ${name}`, async () => {
      using server = answering(answer)
      const url = `http://127.0.0.1:${server.port}`
      const { status } = answer()
      expect(await manju("health", "--url", url)).toEqual(failed(`${url}/healthz answers as no manju does (${status})`))
    })

  test("where nobody answers in time, or not to the end", async () => {
    using mute = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data() {} } })
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no"
    using slow = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data: (socket) => void socket.write(head) } })
    for (const { port } of [mute, slow]) {
      const url = `http://127.0.0.1:${port}`
      expect(await manju("health", "--timeout", "0.3", "--url", url)).toEqual(
        failed(`${url}/healthz: no answer within 0.3 s`),
      )
    }
  })
})

describe("what makes no sense is said in one line, with exit code 2", () => {
  for (const [args, line] of [
    [["--url", "ftp://localhost"], "--url takes http[s]://host[:port], not ftp://localhost"],
    [["--url", "http://localhost/api"], "--url takes http[s]://host[:port], not http://localhost/api"],
    [["--http", "0"], "the HTTP listener is at 127.0.0.1:0: --url says where that is"],
    [["--timeout", "0"], "option '--timeout <seconds>' argument '0' is invalid. It takes seconds, such as 5, to 3600."],
  ] as const)
    test(args.join(" "), async () => {
      expect(await manju("health", ...args)).toEqual(failed(line, 2))
    })

  test("a configuration without a listener for it", async () => {
    using folder = temporaryFolder()
    const file = join(folder.path, "manju.toml")
    writeFileSync(file, '[[listeners]]\ntype = "tcp"\n')
    const line = "the configuration has no listener of type http: --url says whom to ask"
    expect(await manju("health", "--config", file)).toEqual(failed(line, 2))
  })
})

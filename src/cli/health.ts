/** `manju health`: whether the broker of this machine lives, or is ready; for containers, and whoever else asks by a command. */
import { type Command, InvalidArgumentError } from "commander"
import { readText } from "../auth/text-file.ts"
import { ManjuError } from "../broker/errors.ts"
import { CONFIG_VARIABLE } from "../config/environment.ts"
import { ConfigurationError } from "../config/errors.ts"
import { draft, type Given } from "../config/load.ts"
import { itemsOf, nodeAt, plain, type Table, valueAt } from "../config/tree.ts"
import { bracketed, isLoopback } from "../hostname.ts"
import { readKeys, type TlsOptions } from "../listeners/tls.ts"
import { inWords } from "./client/trouble.ts"
import { CommandFailure } from "./failure.ts"
import { takeFlags } from "./flags.ts"
import { printable } from "./printable.ts"

interface HealthFlags {
  url?: string
  ready?: boolean
  timeout: number
  cafile?: string
}

/** Less than containers have by default for such a command. */
const STANDARD_SECONDS = 3
const MOST_SECONDS = 3600

const help = `
Without --url it asks where the broker's configuration has the HTTP listener: that of --config, $MANJU_CONFIG and other variables, so that in
a container of a broker nothing has to be said. Flags of start that place that listener, --host and --http, are flags of health as well.

Examples:
  manju health                                      on this machine, port 8080 unless the configuration has another
  manju health --ready --url https://broker:8080    whether a broker elsewhere is ready for clients

Exit codes: 0 it is, 1 it is not or does not answer in time, 2 usage.`

/** Tells commander of it. */
export function describeHealth(program: Command): void {
  const command = program
    .command("health")
    .description("ask whether the broker lives; for the health checks of containers")
    .option("--url <url>", "the broker's HTTP listener")
    .option("--ready", "ask whether it is ready: also whether its database works")
    .option("--cafile <file>", "who has signed its certificate, PEM; for --url")
    .option("--timeout <seconds>", "how long an answer may take", seconds, STANDARD_SECONDS)
    .addHelpText("after", help)
  const given = takeFlags(command, ["--host", "--http"])
  command.action(() => health(command.opts<HealthFlags>(), given(process.env)))
}

/** What is asked, and how. */
interface Place {
  readonly url: string
  readonly tls: object
}

/** Throws a `CommandFailure` in one line where the broker is not well. */
async function health({ url, ready = false, timeout, cafile }: HealthFlags, given: Given): Promise<void> {
  const [path, good] = ready ? ["/readyz", "ready"] : ["/healthz", "ok"]
  const place = url === undefined ? await configuredPlace(given) : await namedPlace(url, cafile)
  const at = place.url + path
  const { status, text } = await ask({ ...place, url: at }, timeout)
  if (status === 200 && text === good) console.log(`${at}: ${text}`)
  else if (status === 503) throw new CommandFailure(`${at}: ${printable(text)}`)
  else throw new CommandFailure(`${at} answers as no manju does (${status})`)
}

async function ask({ url, tls }: Place, timeoutSeconds: number): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(timeoutSeconds * 1000)
  const request = { signal, tls, redirect: "manual", ...(isOwn(url) && { proxy: false }) } // a proxy's loopback is another one
  try {
    const response = await fetch(url, request as RequestInit)
    return { status: response.status, text: (await response.text()).trimEnd() }
  } catch (error) {
    const { name, code = "", message } = error as NodeJS.ErrnoException
    const why = name === "TimeoutError" ? `no answer within ${timeoutSeconds} s` : (inWords[code] ?? printable(message))
    throw new CommandFailure(`${url}: ${why}`, { cause: error })
  }
}

async function namedPlace(url: string, cafile: string | undefined): Promise<Place> {
  return { url: originOf(url), tls: cafile === undefined ? {} : { ca: await readText(cafile) } }
}

/**
 * Where the configuration has the HTTP listener. What is wrong elsewhere in it is nothing to us: the broker goes on with what it has read
 * when it was good.
 */
async function configuredPlace(given: Given): Promise<Place> {
  const { tree } = await draft(given).catch((error) => {
    if (!(error instanceof ConfigurationError)) throw error
    const { [CONFIG_VARIABLE]: _, ...environment } = given.environment
    return draft({ ...given, file: undefined, environment })
  })
  const listener = itemsOf(tree).find((item) => valueAt(item, "type") === "http")
  if (listener === undefined) {
    throw new ManjuError("INVALID_OPTION", "the configuration has no listener of type http: --url says whom to ask")
  }
  return placeOf(listener)
}

function placeOf(listener: Table): Place {
  const [hostname, port] = [valueAt(listener, "hostname"), valueAt(listener, "port")]
  if (typeof hostname !== "string" || typeof port !== "number" || port === 0) {
    throw new ManjuError("INVALID_OPTION", `the HTTP listener is at ${hostname}:${port}: --url says where that is`)
  }
  const tls = nodeAt(listener, ["tls"])
  const scheme = tls === undefined ? "http" : "https"
  return {
    url: `${scheme}://${nearest(hostname)}:${port}`,
    tls: tls === undefined ? {} : ownTls(plain(tls) as TlsOptions),
  }
}

/** An address that reaches a listener of this machine; as in a URL. */
function nearest(hostname: string): string {
  if (hostname === "0.0.0.0") return "127.0.0.1"
  if (hostname === "::") return "[::1]"
  return bracketed(hostname)
}

/**
 * It is not asked for by the name in its certificate, and nothing is told it: whoever has the port is believed, as without TLS. A listener
 * that demands a certificate is shown its own.
 */
function ownTls(options: TlsOptions): object {
  if (options.ca === undefined) return { rejectUnauthorized: false }
  const { cert, key, passphrase } = readKeys(options)
  return { rejectUnauthorized: false, cert, key, ...(passphrase !== undefined && { passphrase }) }
}

/** Throws `INVALID_OPTION`. */
function originOf(text: string): string {
  const url = URL.parse(/^\w+:\/\//.test(text) ? text : `http://${text}`)
  if (url !== null && ["http:", "https:"].includes(url.protocol) && url.pathname === "/" && url.hostname !== "")
    return url.origin
  throw new ManjuError("INVALID_OPTION", `--url takes http[s]://host[:port], not ${printable(text)}`)
}

function isOwn(url: string): boolean {
  return isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ""))
}

function seconds(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value > 0 && value <= MOST_SECONDS) return value
  throw new InvalidArgumentError(`It takes seconds, such as 5, to ${MOST_SECONDS}.`)
}

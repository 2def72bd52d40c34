/**
 * The PROXY protocol, versions 1 and 2, as haproxy, nginx and load balancers speak it: a header before the first byte of MQTT
 * that says who the client really is. It is believed only from proxies that are named; a connection of anybody else to
 * such a listener is closed, because without the header nobody could say who it is.
 *
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */
import { BlockList, isIP } from "node:net"
import { ManjuError } from "../broker/errors.ts"

/** Whom a listener believes when the PROXY protocol says who a client is. */
export interface ProxyOptions {
  /** Who may speak for others: addresses and networks, such as `10.0.0.0/8` and `::1`. */
  trusted: readonly string[]
}

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1")
const V1_START = Buffer.from("PROXY ", "latin1")
/** "PROXY UNKNOWN" with two IPv6 addresses and ports, CRLF included. */
const LONGEST_V1_BYTES = 107
const V2_HEADER_BYTES = 16
const LOCAL = 0x20
const PROXY = 0x21
const ADDRESS_BYTES: Record<number, number> = { 1: 12, 2: 36 }

/**
 * What stands before the MQTT bytes: a header of `length` bytes with the client's address (undefined: the proxy itself
 * asks, or cannot tell); `incomplete`: more bytes are needed; `invalid`: not the PROXY protocol.
 */
export type ProxyHeader = { readonly length: number; readonly address: string | undefined } | "incomplete" | "invalid"

export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, SIGNATURE)) return bytes.length < V2_HEADER_BYTES ? "incomplete" : readVersion2(bytes)
  if (startsLike(bytes, V1_START)) return readVersion1(bytes)
  return "invalid"
}

/** Whether an address is in one of the networks. Throws `INVALID_OPTION` for a network that is none. */
export function trustedBy({ trusted }: ProxyOptions): (address: string) => boolean {
  const list = new BlockList()
  for (const network of trusted) {
    const [address = "", bits, surplus] = network.split("/")
    const family = isIP(address)
    const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits)
    const isPrefix = Number.isInteger(prefix) && prefix >= 0 && prefix <= (family === 4 ? 32 : 128) && bits !== ""
    if (family === 0 || !isPrefix || surplus !== undefined) {
      throw new ManjuError(
        "INVALID_OPTION",
        `proxy.trusted takes addresses and networks such as 10.0.0.0/8, not ${JSON.stringify(network)}`,
      )
    }
    list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6")
  }
  return (address) => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 4 ? "ipv4" : "ipv6") // `::ffff:10.0.0.1` counts as 10.0.0.1
  }
}

/** Whether the bytes so far could begin with `start`. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

function readVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LONGEST_V1_BYTES).indexOf("\r\n")
  if (end < 0) return bytes.length < LONGEST_V1_BYTES ? "incomplete" : "invalid"
  const [, family, source = "", destination = "", ...ports] = bytes.latin1Slice(0, end).split(" ")
  const length = end + 2
  if (family === "UNKNOWN") return { length, address: undefined }
  const version = family === "TCP4" ? 4 : 6
  const isKnown = family === `TCP${version}` && [source, destination].every((each) => isAddress(each, version))
  return isKnown && ports.length === 2 && ports.every(isPort) ? { length, address: canonical(source) } : "invalid"
}

/** An address as such: a zone (`fe80::1%eth0`) means nothing to another machine. */
function isAddress(text: string, version: number): boolean {
  return isIP(text) === version && !text.includes("%")
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535
}

function readVersion2(bytes: Buffer): ProxyHeader {
  const command = bytes[12]!
  const family = bytes[13]! >> 4
  const payload = bytes.readUInt16BE(14)
  const length = V2_HEADER_BYTES + payload
  if (command !== LOCAL && command !== PROXY) return "invalid"
  const addressBytes = ADDRESS_BYTES[family] ?? 0
  if (command === PROXY && payload < addressBytes) return "invalid"
  if (bytes.length < length) return "incomplete"
  if (command === LOCAL || addressBytes === 0) return { length, address: undefined }
  const source = bytes.subarray(V2_HEADER_BYTES, V2_HEADER_BYTES + (family === 1 ? 4 : 16))
  return { length, address: family === 1 ? source.join(".") : canonical(ipv6(source)) }
}

function ipv6(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(":")
}

/** `2001:db8::1`, as everybody writes it, so that an address is the same in every header; `192.0.2.1` if it is one of IPv4. */
function canonical(address: string): string {
  if (isIP(address) === 4) return address
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [, high, low] = short.match(/^::ffff:([0-9a-f]+):([0-9a-f]+)$/) ?? []
  if (high === undefined || low === undefined) return short
  const bits = Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join(".")
}

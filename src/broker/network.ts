/** Where clients come from, as far as it tells one from another. */
import { isIP } from "node:net"

const MAPPED_IPV4 = "::ffff:"

/** The last answer: it is asked several times of one client, and those who come in a flood come from one place. */
const recent: { address: string; network: string | undefined } = { address: "", network: undefined }

/**
 * The network of an IP address: an IPv4 address is its own; of an IPv6 address it is the first four groups, since everybody
 * has a whole such network. Undefined for what is no IP address.
 *
 * @example
 * networkOf("2001:db8::1") === networkOf("2001:db8::2")
 */
export function networkOf(address: string): string | undefined {
  if (address === recent.address) return recent.network
  recent.network = find(address)
  recent.address = address
  return recent.network
}

function find(address: string): string | undefined {
  if (isIP(address) === 0) return undefined
  if (address.startsWith(MAPPED_IPV4)) return address.slice(MAPPED_IPV4.length)
  if (!address.includes(":")) return address
  const [head = "", tail] = address.split("::")
  const groups = head.split(":").filter(Boolean)
  const rest = tail?.split(":").filter(Boolean) ?? []
  while (groups.length + rest.length < 8) groups.push("0")
  return [...groups, ...rest].slice(0, 4).join(":")
}

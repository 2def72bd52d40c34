/** What is said of a listener's address, or a URL's. */

/** Whether only this machine can reach it: `localhost`, `127.x.y.z`, `::1` (without brackets). */
export function isLoopback(hostname: unknown): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d+){3}$/.test(String(hostname))
}

/** As it stands before `:port`: an IPv6 address in brackets. */
export function bracketed(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname
}

/** What comes to a port of MQTT by mistake, as its beginning tells: for the log, so that the mistake can be found. */

/** The longest beginning that says something has as many. */
const LOOKED_AT_BYTES = 16

/** What `bytes` from `start` on look like; undefined: nothing that is known here. */
export function strangerLike(bytes: Buffer, start: number): string | undefined {
  const beginning = bytes.toString("latin1", start, start + LOOKED_AT_BYTES)
  if (beginning.startsWith("\x16\x03")) return "TLS" // a handshake
  if (beginning.startsWith("PROXY ") || beginning.startsWith("\r\n\r\n\0\r\nQUIT\n")) return "the PROXY protocol"
  return /^[A-Z]+ /.test(beginning) ? "HTTP" : undefined
}

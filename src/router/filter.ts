/**
 * Topic names and topic filters. MQTT 5 §4.7, §4.8.2
 *
 * Levels are separated by `/` and may be empty. A filter may hold `+` for one level and `#`, at its end, for the rest.
 * `$share/{name}/{filter}` asks for a share of what `{filter}` matches.
 */

/** How long and how deep names and filters may be. */
export interface TopicLimits {
  maximumTopicBytes: number
  maximumTopicLevels: number
}

export interface TopicFilter {
  /** As the client wrote it: the key under which it unsubscribes. */
  readonly text: string
  /** What is matched: `text` without the share. */
  readonly pattern: string
  readonly shareName: string | undefined
  readonly hasWildcard: boolean
}

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** Whether the (valid UTF-8) bytes are a topic name: not empty, no wildcard, within the limits. [MQTT-3.3.2-2] [MQTT-4.7.3-1] */
export function isTopicName(bytes: Uint8Array, start: number, end: number, limits: TopicLimits): boolean {
  if (end === start || end - start > limits.maximumTopicBytes) return false
  let levels = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at]
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) return false
  }
  return levels <= limits.maximumTopicLevels
}

/** Reads a topic filter; undefined if it is not a valid one. */
export function parseTopicFilter(text: string, limits: TopicLimits): TopicFilter | undefined {
  if (!text.startsWith("$share/")) return parsePattern(text, text, undefined, limits)
  const end = text.indexOf("/", 7)
  if (end < 0) return undefined // [MQTT-4.8.2-2]
  const shareName = text.slice(7, end)
  if (shareName === "" || shareName.includes("+") || shareName.includes("#")) return undefined // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
  return parsePattern(text, text.slice(end + 1), shareName, limits)
}

function parsePattern(
  text: string,
  pattern: string,
  shareName: string | undefined,
  limits: TopicLimits,
): TopicFilter | undefined {
  if (pattern === "" || Buffer.byteLength(pattern) > limits.maximumTopicBytes) return undefined // [MQTT-4.7.3-1]
  const levels = pattern.split("/")
  if (levels.length > limits.maximumTopicLevels) return undefined
  let hasWildcard = false
  for (let depth = 0; depth < levels.length; depth++) {
    const level = levels[depth]!
    if (level === "+") hasWildcard = true
    else if (level === "#") {
      if (depth !== levels.length - 1) return undefined // [MQTT-4.7.1-1]
      hasWildcard = true
    } else if (level.includes("+") || level.includes("#")) return undefined // [MQTT-4.7.1-1] [MQTT-4.7.1-2]
  }
  return { text, pattern, shareName, hasWildcard }
}

/** Whether a pattern matches a topic name: the definition that the tries are tested against. */
export function matches(pattern: string, topicName: string): boolean {
  const wanted = pattern.split("/")
  const levels = topicName.split("/")
  if (levels[0]!.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false // [MQTT-4.7.2-1]
  for (let depth = 0; depth < wanted.length; depth++) {
    if (wanted[depth] === "#") return true
    if (depth >= levels.length) return false
    if (wanted[depth] !== "+" && wanted[depth] !== levels[depth]) return false
  }
  return wanted.length === levels.length
}

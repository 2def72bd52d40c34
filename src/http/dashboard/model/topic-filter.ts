/** What is wrong with a topic filter, before the broker is asked; undefined: nothing. */
export function filterError(filter: string): string | undefined {
  if (filter === "") return "A filter has at least one character; # is every topic."
  if (filter.startsWith("$share/")) return "Topics are not shared: leave out $share and the name of the group."
  const levels = filter.split("/")
  if (levels.some((level, index) => level.includes("#") && (level !== "#" || index < levels.length - 1))) {
    return "# is a level of its own, and the last one."
  }
  return levels.some((level) => level.includes("+") && level !== "+") ? "+ is a level of its own." : undefined
}

/** The filter of a topic and everything below it. */
export function filterBelow(topic: string): string {
  return `${topic}/#`
}

/** The filter with which a topic is found; `#` finds nothing that is the broker's own. [MQTT-4.7.2-1] */
export function filterFor(topic: string): string {
  const [first = ""] = topic.split("/")
  return first.startsWith("$") ? `${first}/#` : "#"
}

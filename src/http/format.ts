/** Numbers, sizes, times, for people. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const small = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 })
const clock = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" })
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" })
const NEVER = 0xffff_ffff

/** `1,234` */
export function count(value: number): string {
  return whole.format(value)
}

/** `0.4`, `12`, `1,234`, `1.23M`: short enough for a tile. */
export function figure(value: number): string {
  if (value >= 100_000) return short.format(value)
  return value < 10 ? small.format(value) : whole.format(value)
}

/** `3 subscriptions`, `1 subscription` */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** `512 B`, `1.4 KiB` */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? whole.format(value) : small.format(value)} ${units[unit]}`
}

/** `0.12 ms`, `1.2 s` */
export function milliseconds(value: number): string {
  if (value >= 1000) return `${small.format(value / 1000)} s`
  if (value === 0) return "0 ms"
  return `${value < 1 ? value.toFixed(2) : small.format(value)} ms`
}

/** `3 d 4 h`, `12 min`, `40 s`; what never ends is `never`. */
export function duration(seconds: number): string {
  if (seconds >= NEVER) return "never"
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  if (first === -1) return "0 s"
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ")
}

/** `14:03:59` */
export function timeOfDay(time: number): string {
  return clock.format(time)
}

/** `22 Nov 2026, 14:03:59` */
export function dateAndTime(time: number): string {
  return day.format(time)
}

/** `queueFull` → `queue full`: the broker's names of reasons. */
export function words(name: string): string {
  return name
    .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
    .replaceAll(/[-_]/g, " ")
    .toLowerCase()
    .replace(/\bqos\b/, "QoS")
}

/** C's strftime(3) in its "C" locale, one conversion at a time: what `-F` calls with `@`. */

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  ...["January", "February", "March", "April", "May", "June", "July"],
  ...["August", "September", "October", "November", "December"],
]
const DAY_MS = 86_400_000

const two = (value: number) => String(value).padStart(2, "0")
const blank = (value: number) => String(value).padStart(2)
const twelve = (date: Date) => date.getHours() % 12 || 12

/** Days since 1 January, whatever the clocks did meanwhile. */
function dayOfYear(date: Date): number {
  return (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0)) / DAY_MS
}

/** The week of ISO 8601, and the year to which it belongs: that of its Thursday. */
function isoWeek(date: Date): [year: number, week: number] {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 3 - ((date.getDay() + 6) % 7))
  return [thursday.getFullYear(), Math.floor(dayOfYear(thursday) / 7) + 1]
}

function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`
}

function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date)
  return parts.find(({ type }) => type === "timeZoneName")!.value
}

const conversions: Record<string, (date: Date) => string | number> = {
  a: (date) => days[date.getDay()]!.slice(0, 3),
  A: (date) => days[date.getDay()]!,
  b: (date) => months[date.getMonth()]!.slice(0, 3),
  B: (date) => months[date.getMonth()]!,
  c: (date) =>
    "abeTY"
      .split("")
      .map((each) => strftime(each, date))
      .join(" "),
  C: (date) => two(Math.floor(date.getFullYear() / 100)),
  d: (date) => two(date.getDate()),
  D: (date) => `${strftime("m", date)}/${strftime("d", date)}/${strftime("y", date)}`,
  e: (date) => blank(date.getDate()),
  F: (date) => `${date.getFullYear()}-${strftime("m", date)}-${strftime("d", date)}`,
  g: (date) => two(isoWeek(date)[0] % 100),
  G: (date) => isoWeek(date)[0],
  h: (date) => strftime("b", date),
  H: (date) => two(date.getHours()),
  I: (date) => two(twelve(date)),
  j: (date) => String(dayOfYear(date) + 1).padStart(3, "0"),
  k: (date) => blank(date.getHours()),
  l: (date) => blank(twelve(date)),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  n: () => "\n",
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  P: (date) => (date.getHours() < 12 ? "am" : "pm"),
  r: (date) => `${strftime("I", date)}:${strftime("M", date)}:${strftime("S", date)} ${strftime("p", date)}`,
  R: (date) => `${strftime("H", date)}:${strftime("M", date)}`,
  s: (date) => Math.floor(date.getTime() / 1000),
  S: (date) => two(date.getSeconds()),
  t: () => "\t",
  T: (date) => `${strftime("R", date)}:${strftime("S", date)}`,
  u: (date) => date.getDay() || 7,
  U: (date) => two(Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7)),
  V: (date) => two(isoWeek(date)[1]),
  w: (date) => date.getDay(),
  W: (date) => two(Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7)),
  x: (date) => strftime("D", date),
  X: (date) => strftime("T", date),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => date.getFullYear(),
  z: offset,
  Z: zoneName,
  "%": () => "%",
}

/** What `%` and that character stand for, in the local time zone; themselves where they stand for nothing. */
export function strftime(conversion: string, date: Date): string {
  return Object.hasOwn(conversions, conversion) ? String(conversions[conversion]!(date)) : `%${conversion}`
}

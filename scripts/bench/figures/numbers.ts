/** How numbers are written where there is little room. */

const prefixes = ["", "k", "M", "G"]

/**
 * Three digits and a prefix.
 *
 *     compact(6_247_306) // "6.25 M"
 *     compact(41.2)      // "41.2"
 *     compact(0.0690)    // "0.069"
 */
export function compact(value: number): string {
  const [digits, exponent] = value.toExponential(2).split("e")
  const power = value === 0 ? 0 : Math.max(0, Math.min(prefixes.length - 1, Math.floor(Number(exponent) / 3)))
  const scaled = (Number(digits) * 10 ** Number(exponent)) / 1000 ** power
  const text = scaled >= 1 ? scaled.toPrecision(3) : String(Number(scaled.toPrecision(3)))
  return power === 0 ? text : `${text} ${prefixes[power]}`
}

/** The same without zeros behind the point: 1.5 k, and 1 M. */
export const shortest = (value: number) =>
  compact(value).replace(/\.(\d*?)0+(?=\D|$)/, (_, digits) => (digits ? `.${digits}` : ""))

/**
 * A size in bytes, of which there are whole ones only.
 *
 *     bytes(65_536) // "64 KiB"
 */
export function bytes(count: number): string {
  if (count >= 1024 ** 2) return `${count / 1024 ** 2} MiB`
  return count >= 1024 ? `${count / 1024} KiB` : `${count} B`
}

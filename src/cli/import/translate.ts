/**
 * A `mosquitto.conf` as a configuration of manju: what it sets, and what became of every line of it.
 *
 * Lines are sorted by what they are about (`sections.ts`), each by the table of all there are (`directives.ts`). Most set a key, or
 * nothing; the others are put together, those on a listener in `door.ts`, those on the broker in `whole.ts`. Of each line is told in the
 * end either which keys it has set or why it has set none: none is passed over.
 */
import type { Left } from "./definition.ts"
import { type DoorSettings, doorsOf, type Surroundings } from "./door.ts"
import type { Directive } from "./lines.ts"
import { type LeftLines, sectionsOf } from "./sections.ts"
import { brokerSettings, type Setting } from "./whole.ts"

export interface Translation {
  /** Of the broker, with the auth of all listeners where that is one. */
  readonly settings: readonly Setting[]
  readonly doors: readonly DoorSettings[]
  /** Lines that have not been carried over, or not as they are, in their order. */
  readonly left: readonly (Left & { readonly directive: Directive })[]
  /** How many lines there are. */
  readonly total: number
}

export function translate(directives: readonly Directive[], surroundings: Surroundings): Translation {
  const left: LeftLines = new Map()
  const sections = sectionsOf(directives, left)
  for (const section of [sections.broker, sections.standard, ...sections.listeners]) {
    for (const { directive, fate } of section) {
      if (fate.kind !== "keys" && fate.kind !== "together" && !left.has(directive)) left.set(directive, fate)
    }
  }
  const settings = brokerSettings(sections.broker, surroundings.locate, left)
  const doors = doorsOf(sections, surroundings, left)
  const auth = commonAuth(doors)
  const all = [...settings, ...doors.flatMap((door) => [...door.settings, ...door.auth])]
  const carried = new Set([...all.flatMap(({ from }) => from), ...doors.map(({ from }) => from)])
  for (const directive of directives) {
    const isOfNoUse = left.get(directive)?.kind === "needless"
    if (carried.has(directive) && isOfNoUse)
      left.delete(directive) // it is of use elsewhere
    else if (!carried.has(directive) && !left.has(directive) && !isFollowed(directive))
      left.set(directive, idle(directive))
  }
  return {
    settings: [...settings, ...(auth ?? [])],
    doors: auth === undefined ? doors : doors.map((door) => ({ ...door, auth: [] })),
    left: directives.flatMap((directive) => (left.has(directive) ? [{ directive, ...left.get(directive)! }] : [])),
    total: directives.length,
  }
}

/** Whether it says what others are about, and nothing of its own. */
function isFollowed({ name }: Directive): boolean {
  return name === "per_listener_settings"
}

/** What a line says that has its say together with others, which have said all there is to say. */
function idle({ name, value }: Directive): Left {
  if (name === "per_listener_settings")
    return { kind: "needless", why: "an auth is of a listener or of all, as need be" }
  if (name === "allow_anonymous" && /^(false|0)/.test(value))
    return { kind: "needless", why: "nobody is let in who is not named" }
  return { kind: "needless", why: "nobody may come in where it would have a say" }
}

/** The auth that all listeners have. Undefined: they have several, or one lets nobody in and says why. */
function commonAuth(doors: readonly DoorSettings[]): readonly Setting[] | undefined {
  const [first, ...others] = doors.map(({ auth }) => auth)
  const words = (settings: readonly Setting[]) => JSON.stringify(settings.map(({ key, value }) => [key, value]))
  const isOne =
    others.every((each) => words(each) === words(first!)) && doors.every(({ closed }) => closed.length === 0)
  return isOne ? first : undefined
}

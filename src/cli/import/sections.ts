/** What has been said of the broker, and of each listener: one section each, and what became of every line. */
import type { Definition, Left, Reading } from "./definition.ts"
import { definitionOf } from "./directives.ts"
import { type Directive, placeOf } from "./lines.ts"

/** A line, and what it says. */
export interface Said extends Reading {
  readonly directive: Directive
  readonly definition: Definition
}

/** Lines on the broker, or on one listener. */
export class Section {
  /** The line `listener`; undefined: of the broker, or of the default listener. */
  readonly listener: Directive | undefined
  /** What forbids that anybody comes in here, where that could not be read or could not be the case twice. */
  readonly closing: Directive[] = []
  private readonly lines = new Map<string, Said[]>()

  constructor(listener?: Directive) {
    this.listener = listener
  }

  /** Takes a line; returns the one that it takes the place of. */
  take(said: Said): Said | undefined {
    const { name } = said.directive
    const before = this.lines.get(name)
    this.lines.set(name, said.definition.mayRepeat ? [...(before ?? []), said] : [said])
    return said.definition.mayRepeat ? undefined : before?.[0]
  }

  /** What is said by that name; undefined: nothing is. */
  get(name: string): Said | undefined {
    return this.lines.get(name)?.[0]
  }

  all(name: string): readonly Said[] {
    return this.lines.get(name) ?? []
  }

  has(...names: string[]): boolean {
    return names.some((name) => this.lines.has(name))
  }

  /** Of a directive that takes true or false; what is not said is false. */
  isOn(name: string): boolean {
    return this.get(name)?.value === true
  }

  *[Symbol.iterator](): Generator<Said> {
    for (const lines of this.lines.values()) yield* lines
  }
}

/** All sections of a file. */
export interface Sections {
  readonly broker: Section
  /** Of who may come in, for all listeners; unless each has its own. */
  readonly isPerListener: boolean
  /** The listener that Mosquitto has without the word. */
  readonly standard: Section
  /** Whether a listener is named at all, be it one that cannot be opened. */
  readonly isNamed: boolean
  readonly listeners: readonly Section[]
}

/** Why a line has not been carried over, by the line; those that are not there have been. */
export type LeftLines = Map<Directive, Left>

/** Sorts lines by what they are about. `left` grows by those that are about nothing, and those that others take the place of. */
export function sectionsOf(directives: readonly Directive[], left: LeftLines): Sections {
  const broker = new Section()
  const standard = new Section()
  const listeners = new Map<Directive | undefined, Section>()
  let isPerListener = false
  for (const directive of directives) {
    const { name, value, under, problem } = directive
    if (name === "listener") listeners.set(directive, new Section(directive))
    const definition = definitionOf(name)
    const reading = problem === undefined ? definition?.read(value) : undefined
    const own = listeners.get(name === "listener" ? directive : under) ?? standard
    const isSecurity = definition?.scope === "security"
    const section = sectionFor(definition, isPerListener, { broker, standard, own })
    if (definition === undefined || reading === undefined) {
      const why =
        problem ??
        (definition === undefined ? "Mosquitto has no such option that is known here" : `takes ${definition.takes}`)
      const isOfDoors = definition === undefined || problem !== undefined || closesUnread(definition)
      left.set(directive, { kind: isOfDoors ? "closes" : "lost", why })
      if (isOfDoors) section.closing.push(directive)
      continue
    }
    if (name === "per_listener_settings") {
      isPerListener = reading.value === true
      const isLate = isPerListener && [...broker].some((said) => said.definition.scope === "security")
      if (isLate) closeBy(directive, "it has to stand before all that it is about, for Mosquitto, too", broker, left)
    }
    const before = section.take({ directive, definition, ...reading })
    if (before === undefined) continue
    const isMinded = definition.isText && (isSecurity || definition.scope === "listener")
    if (isMinded)
      closeBy(directive, `is said on line ${before.directive.line} already, which Mosquitto minds`, section, left)
    left.set(before.directive, { kind: "needless", why: `${placeOf(directive)} says it anew` })
  }
  const opened = [...listeners.values()].filter(({ listener }) => !left.has(listener!))
  const isNamed = listeners.size > 0 || standard.has("port", "bind_address")
  return { broker, isPerListener, standard, isNamed, listeners: opened }
}

function closeBy(directive: Directive, why: string, section: Section, left: LeftLines): void {
  left.set(directive, { kind: "closes", why })
  section.closing.push(directive)
}

function sectionFor(
  definition: Definition | undefined,
  isPerListener: boolean,
  { broker, standard, own }: { broker: Section; standard: Section; own: Section },
): Section {
  if (definition?.scope === "listener") return own
  if (definition?.scope === "default") return standard
  return definition?.scope === "security" && isPerListener ? own : broker
}

/** Whether what cannot be read may be what keeps somebody out, or says of whom that is said. */
function closesUnread({ scope }: Definition): boolean {
  return scope === "security" || scope === "listener" || scope === "default" || scope === "whose"
}

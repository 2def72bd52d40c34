/** The log, as it is written: the last lines that came while this view was open. */
import { signal } from "@preact/signals"
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import { counted, timeOfDay } from "../../format.ts"
import { ApiError, put } from "../api.ts"
import { useLive } from "../live.ts"
import {
  areaOf,
  aroundName,
  fieldsOf,
  isShown,
  type LineLevel,
  type LogBlock,
  type LogLine,
  LogTail,
} from "../model/log-tail.ts"
import { visible } from "../model/payload.ts"
import { announce } from "../parts/announce.tsx"
import { Link } from "../parts/client-link.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Field, type FieldProps } from "../parts/field.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import type { LogLevel } from "../types.ts"
import "./log.css"

type Level = LogLevel["level"]
type Area = keyof NonNullable<LogLevel["areas"]>

const levels = ["debug", "info", "warn", "error"] as const
const keptLevels = [...levels, "silent"] as const
const areaNames = ["client", "auth", "message", "listener", "store", "broker"] as const satisfies readonly Area[]
/** From that many pixels on somebody has scrolled up. */
const AWAY = 40

/** They stay while other views are shown. */
const tail = new LogTail()
const blocks = signal(tail.blocks)
const level = signal<LineLevel>("info")

export function LogView() {
  const [text, setText] = useState("")
  const [area, setArea] = useState("")
  const [paused, setPaused] = useState<readonly LogBlock[]>()
  useLive(
    { log: level.value },
    {
      log: ({ lines, omitted }) => {
        tail.add(lines, omitted)
        blocks.value = tail.blocks
      },
    },
  )
  const clear = () => {
    tail.clear()
    blocks.value = tail.blocks
    setPaused(undefined)
  }
  const shown = paused ?? blocks.value
  const query = useMemo(
    () => ({ text, area: area === "" ? undefined : area, level: level.value }),
    [text, area, level.value],
  )
  return (
    <>
      <h1>Log</h1>
      <div class="toolbar">
        <Field label="Search in lines">
          {(props) => (
            <input {...props} type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          )}
        </Field>
        <Field label="Lines">
          {(props) => (
            <select
              {...props}
              value={level.value}
              onChange={(event) => (level.value = event.currentTarget.value as LineLevel)}
            >
              {levels.map((each) => (
                <option key={each} value={each}>
                  {each === "debug" ? "All" : each === "error" ? "Errors" : `${each} and above`}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="About">
          {(props) => (
            <select {...props} value={area} onChange={(event) => setArea(event.currentTarget.value)}>
              <option value="">Everything</option>
              {areaNames.map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="actions">
          <button
            type="button"
            aria-pressed={paused !== undefined}
            onClick={() => setPaused(paused === undefined ? blocks.value : undefined)}
          >
            Pause
          </button>
          <button type="button" onClick={clear}>
            Clear
          </button>
        </div>
      </div>
      <Lines blocks={shown} query={query} />
      <p class="muted">
        {paused === undefined
          ? `${counted(tail.size, "line")}; the last 3,000 since this view was opened are kept.`
          : `Paused; ${counted(linesAfter(paused), "new line")}.`}
      </p>
      <KeptLevels />
    </>
  )
}

function linesAfter(before: readonly LogBlock[]): number {
  const last = before.at(-1)?.id ?? 0
  return blocks.value.reduce((sum, { id, lines }) => (id > last ? sum + lines.length : sum), 0)
}

/** The newest at the bottom, where it stays unless somebody scrolls up. */
function Lines({ blocks, query }: { blocks: readonly LogBlock[]; query: Parameters<typeof isShown>[1] }) {
  const list = useRef<HTMLDivElement>(null)
  const scrolledTo = useRef(0)
  const [isAway, setAway] = useState(false)
  const toEnd = () => {
    if (list.current !== null) list.current.scrollTop = list.current.scrollHeight
  }
  useLayoutEffect(() => {
    if (!isAway) toEnd()
  }, [blocks, query, isAway])
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = list.current!
    const isUp = scrollTop < scrolledTo.current // by somebody: what the lines themselves move, they move down
    const isFar = scrollHeight - scrollTop - clientHeight > AWAY
    scrolledTo.current = scrollTop
    if (isUp || !isFar) setAway(isFar)
  }
  return (
    <div class="log-frame">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <div ref={list} class="log" role="log" aria-label="Log" aria-live="off" tabIndex={0} onScroll={onScroll}>
        {blocks.length === 0 && <p class="none">No lines yet: those that are written from now on appear here.</p>}
        {blocks.map((block) => (
          <Block key={block.id} block={block} query={query} />
        ))}
      </div>
      {isAway && (
        <button type="button" class="latest" onClick={toEnd}>
          Newest lines
        </button>
      )}
    </div>
  )
}

/** A block is drawn once, and again only when something else is searched for. */
function Block({ block, query }: { block: LogBlock; query: Parameters<typeof isShown>[1] }) {
  const isEverything = query.text === "" && query.area === undefined
  return useMemo(
    () => (
      <div class="block">
        {block.lines.map((line, index) => isShown(line, query) && <Line key={index} line={line} />)}
        {block.omitted > 0 && isEverything && (
          <p class="line muted">… and {counted(block.omitted, "line")} more in that second</p>
        )}
      </div>
    ),
    [block, query, isEverything],
  )
}

function Line({ line }: { line: LogLine }) {
  const clientId = fieldsOf(line).find(([name]) => name === "clientId")?.[1]
  const named = clientId === undefined ? undefined : aroundName(line.message, clientId)
  return (
    <p class={`line ${line.level}`}>
      <time dateTime={new Date(line.time).toISOString()}>{timeOfDay(line.time)}</time>
      <span class="level">{line.level}</span>
      <span class="area muted">{areaOf(line) ?? ""}</span>
      <span class="message">
        {named === undefined ? (
          visible(line.message, true)
        ) : (
          <>
            {visible(named[0], true)}
            <Link clientId={clientId!} />
            {visible(named[1], true)}
          </>
        )}
      </span>
    </p>
  )
}

/** What the broker's own log keeps; the lines above are shown whatever that is. */
function KeptLevels() {
  const { value, error, reload } = useFetched("log-level")
  const [failure, setFailure] = useState<unknown>()
  const set = async (next: LogLevel) => {
    try {
      await put("log-level", next)
      setFailure(undefined)
      announce("The log keeps other lines from now on.")
    } catch (thrown) {
      setFailure(thrown)
    }
    reload()
  }
  if (error instanceof ApiError && error.kind === "conflict") {
    return <p class="muted">Which lines the broker's own log keeps, its logger decides.</p>
  }
  if (value === undefined) return <Problem error={error} />
  const { level, areas = {} } = value
  const setArea = (area: Area, next: string) => {
    const { [area]: _, ...others } = areas
    void set({ level, areas: next === "" ? others : { ...others, [area]: next as Level } })
  }
  return (
    <Panel title="What the broker's log keeps" class="kept-levels">
      <p class="muted">Until the next start. What is shown above does not depend on it.</p>
      <Problem error={failure} />
      <div class="toolbar">
        <Field label="All lines">
          {(props) => (
            <LevelSelect {...props} value={level} onSelect={(next) => void set({ level: next as Level, areas })} />
          )}
        </Field>
        {areaNames.map((area) => (
          <Field key={area} label={`About: ${area}`}>
            {(props) => (
              <LevelSelect
                {...props}
                value={areas[area] ?? ""}
                none="as all"
                onSelect={(next) => setArea(area, next)}
              />
            )}
          </Field>
        ))}
      </div>
    </Panel>
  )
}

/** `none`: what is said where there is no level of its own; undefined: there is always one. */
function LevelSelect(props: FieldProps & { value: string; none?: string; onSelect: (level: string) => void }) {
  const { value, none, onSelect, ...field } = props
  return (
    <select {...field} value={value} onChange={(event) => onSelect(event.currentTarget.value)}>
      {none !== undefined && <option value="">{none}</option>}
      {keptLevels.map((each) => (
        <option key={each} value={each}>
          {each}
        </option>
      ))}
    </select>
  )
}

import type { ComponentChildren } from "preact"
import { useMemo, useState } from "preact/hooks"
import { bytes, count } from "../../format.ts"
import type { JsonLine } from "../model/json.ts"
import {
  bytesOf,
  hexLines,
  jsonOf,
  kindOf,
  MOST_SHOWN_BYTES,
  MOST_SHOWN_CHARACTERS,
  type Payload,
  visible,
} from "../model/payload.ts"

/** Lines of JSON that are made at once; more on demand. */
const LINES_AT_ONCE = 500
const looks = { auto: "as it is", json: "JSON", text: "text", hex: "bytes" } as const
type Look = keyof typeof looks

/** A payload as what it is, or as somebody wants to see it. */
export function PayloadView({ payload }: { payload: Payload }) {
  const [look, setLook] = useState<Look>("auto")
  const kind = kindOf(payload)
  if (kind === "empty") return <p class="none">The payload is empty.</p>
  const best = kind === "binary" ? "hex" : kind
  const asked = look === "auto" ? best : look
  const json = asked === "json" ? jsonOf(payload) : undefined
  const shown = asked === "json" && json === undefined ? best : asked
  return (
    <div class="payload">
      <label class="inline">
        Show{" "}
        <select value={look} onChange={(event) => setLook(event.currentTarget.value as Look)}>
          {Object.entries(looks).map(([value, name]) => (
            <option key={value} value={value} disabled={value === "json" && kind !== "json"}>
              {value === "auto" ? `${name} (${looks[best]})` : name}
            </option>
          ))}
        </select>
      </label>
      {json !== undefined && <Json lines={json.lines} />}
      {shown === "text" && <Text payload={payload} />}
      {shown === "hex" && <Hex payload={payload} />}
      {payload.isTruncated && <p class="muted">That is its beginning: it has {bytes(payload.payloadBytes)}.</p>}
    </div>
  )
}

function Json({ lines }: { lines: readonly JsonLine[] }) {
  const [most, setMost] = useState(LINES_AT_ONCE)
  return (
    <>
      <Scrolled>
        {lines.slice(0, most).map(({ depth, tokens }, line) => (
          <span key={line}>
            {"  ".repeat(depth)}
            {tokens.map(({ part, text }, index) => (
              <span key={index} class={part}>
                {visible(text)}
              </span>
            ))}
            {"\n"}
          </span>
        ))}
      </Scrolled>
      {lines.length > most && (
        <button type="button" onClick={() => setMost(most + 10 * LINES_AT_ONCE)}>
          Show more of {count(lines.length)} lines
        </button>
      )}
    </>
  )
}

function Text({ payload }: { payload: Payload }) {
  const text = payload.payload ?? new TextDecoder().decode(bytesOf(payload))
  return (
    <>
      <Scrolled>{visible(text.slice(0, MOST_SHOWN_CHARACTERS), true)}</Scrolled>
      {text.length > MOST_SHOWN_CHARACTERS && (
        <p class="muted">The first {count(MOST_SHOWN_CHARACTERS)} characters of it.</p>
      )}
    </>
  )
}

function Hex({ payload }: { payload: Payload }) {
  const content = useMemo(() => bytesOf(payload), [payload])
  const perLine = matchMedia("(min-width: 110rem)").matches ? 16 : 8
  const text = hexLines(content, perLine)
    .map(({ offset, hex, characters }) => `${offset}  ${hex.padEnd(perLine * 3 - 1)}  ${characters}\n`)
    .join("")
  return (
    <>
      <Scrolled>{text}</Scrolled>
      {content.length > MOST_SHOWN_BYTES && <p class="muted">The first {bytes(MOST_SHOWN_BYTES)} of it.</p>}
    </>
  )
}

/** It may be higher than its place, and wider. */
function Scrolled({ children }: { children: ComponentChildren }) {
  // biome-ignore lint/a11y/noNoninteractiveTabindex: without it the keyboard could not scroll it
  return <pre tabIndex={0}>{children}</pre>
}

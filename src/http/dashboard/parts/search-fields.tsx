import { useEffect, useState } from "preact/hooks"
import { place, refine } from "../route.ts"
import { Field } from "./field.tsx"

/** How long nothing has to be typed until it is asked for. */
const REST_MS = 300

export interface SearchField {
  name: string
  label: string
  hint?: string
  /** What can be chosen, and what it is called; undefined: anything can be typed. */
  options?: Record<string, string>
}

/** What a list is searched by. It is in the address, so that a search can be kept and sent to others. */
export function SearchFields({ fields, values }: { fields: readonly SearchField[]; values: Record<string, string> }) {
  const [typed, setTyped] = useState(values)
  const shown = JSON.stringify(values)
  useEffect(() => setTyped(JSON.parse(shown)), [shown]) // a link has changed it
  useEffect(() => {
    const timer = setTimeout(() => apply(typed), REST_MS)
    return () => clearTimeout(timer)
  }, [typed])
  const submit = (event: Event) => {
    event.preventDefault()
    apply(typed)
  }
  return (
    <search>
      <form class="toolbar" onSubmit={submit}>
        {fields.map(({ name, label, hint, options }) => (
          <Field key={name} label={label} hint={hint}>
            {(props) => {
              const set = (value: string) => setTyped((before) => ({ ...before, [name]: value }))
              if (options === undefined) {
                return (
                  <input
                    {...props}
                    type="search"
                    spellcheck={false}
                    autocapitalize="off"
                    value={typed[name]}
                    onInput={(event) => set(event.currentTarget.value)}
                  />
                )
              }
              return (
                <select {...props} value={typed[name]} onChange={(event) => set(event.currentTarget.value)}>
                  {Object.entries(options).map(([value, title]) => (
                    <option key={value} value={value}>
                      {title}
                    </option>
                  ))}
                </select>
              )
            }}
          </Field>
        ))}
      </form>
    </search>
  )
}

function apply(values: Record<string, string>): void {
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""))
  if (new URLSearchParams(given).toString() !== place.value.query.toString()) refine(given)
}

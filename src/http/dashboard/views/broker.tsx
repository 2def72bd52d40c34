/** The broker itself: its listeners, its limits, and what can be done with it while it runs. */
import { useEffect, useState } from "preact/hooks"
import { bytes, count, duration, words } from "../../format.ts"
import { ApiError, get, open, patch, post } from "../api.ts"
import { announce } from "../parts/announce.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Field } from "../parts/field.tsx"
import { Listeners } from "../parts/listeners.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import type { Limits, LimitsReport, ReloadReport } from "../types.ts"
import "./broker.css"

export function BrokerView() {
  return (
    <>
      <h1>Broker</h1>
      <Listeners />
      <Reload />
      <Backup />
      <LimitsPanel />
    </>
  )
}

function Reload() {
  const [report, setReport] = useState<ReloadReport>()
  const [error, setError] = useState<unknown>()
  const [isBusy, setBusy] = useState(false)
  const reload = async () => {
    setBusy(true)
    setError(undefined)
    try {
      setReport(await post<ReloadReport>("reload"))
      announce("Reloaded.")
    } catch (thrown) {
      setReport(undefined)
      setError(thrown)
    }
    setBusy(false)
  }
  return (
    <Panel
      title="Reload"
      actions={
        <button type="button" onClick={reload} disabled={isBusy}>
          Reload
        </button>
      }
    >
      <p class="muted">
        Passwords, access rules, keys, certificates and the configuration are read again; nobody is disconnected for it.
        What is wrong with a file is in the log.
      </p>
      <Problem error={error} />
      {report !== undefined && (
        <dl class="facts">
          <dt>Changed</dt>
          <dd>{report.changed.length === 0 ? "nothing of the configuration" : report.changed.join(", ")}</dd>
          <dt>After a restart</dt>
          <dd>{report.needRestart.length === 0 ? "nothing" : report.needRestart.join(", ")}</dd>
        </dl>
      )}
    </Panel>
  )
}

function Backup() {
  const [path, setPath] = useState("")
  const [done, setDone] = useState<string>()
  const [error, setError] = useState<unknown>()
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: Event) => {
    event.preventDefault()
    if (path === "") return setError(new ApiError(0, { title: "A backup needs a place", detail: "Where is it to go?" }))
    setBusy(true)
    setError(undefined)
    setDone(undefined)
    try {
      await post("backup", { path })
      setDone(path)
      announce("The backup is done.")
    } catch (thrown) {
      setError(thrown)
    }
    setBusy(false)
  }
  return (
    <Panel title="Backup">
      <form class="toolbar" onSubmit={submit}>
        <Field label="To a new file on the broker's machine">
          {(props) => (
            <input
              {...props}
              spellcheck={false}
              placeholder="/var/backups/manju.db"
              value={path}
              onInput={(event) => setPath(event.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" disabled={isBusy}>
          {isBusy ? "Copying…" : "Copy the store"}
        </button>
      </form>
      <Problem error={error} />
      {done !== undefined && (
        <p>
          The store has been copied to <code>{done}</code>.
        </p>
      )}
    </Panel>
  )
}

/** What the API's description says of a limit. */
interface LimitDescription {
  description?: string
  minimum?: number
  maximum?: number
}

function LimitsPanel() {
  const { value: before, error } = useFetched("limits")
  const [after, setAfter] = useState<Limits>()
  const value = after ?? before
  const descriptions = useDescriptions()
  const [typed, setTyped] = useState<Record<string, string>>({})
  const [failure, setFailure] = useState<unknown>()
  const [report, setReport] = useState<LimitsReport>()
  const [isBusy, setBusy] = useState(false)
  if (value === undefined) return <Problem error={error} />
  const names = Object.keys(value) as (keyof Limits)[]
  const changed = names.filter((name) => typed[name] !== undefined && typed[name] !== String(value[name]))
  const errors = errorsOf(failure)
  const submit = async (event: Event) => {
    event.preventDefault()
    setReport(undefined)
    setBusy(true)
    try {
      const numbers = changed.map((name) => [name, numberOf(typed[name]!)])
      setReport(await patch<LimitsReport>("limits", Object.fromEntries(numbers)))
      setAfter(await get("limits"))
      setFailure(undefined)
      setTyped({})
      announce("The limits have been changed.")
    } catch (thrown) {
      setFailure(thrown)
    }
    setBusy(false)
  }
  return (
    <Panel title="Limits">
      <p class="muted">A change holds until the next start; the configuration file has what holds then.</p>
      <form class="limits" onSubmit={submit} noValidate>
        <div class="limit-fields">
          {names.map((name) => (
            <Field
              key={name}
              label={words(name)}
              hint={hintOf(name, value[name], descriptions[name])}
              error={errors[name]}
            >
              {(props) => (
                <input
                  {...props}
                  inputMode="numeric"
                  class={changed.includes(name) ? "changed" : undefined}
                  value={typed[name] ?? String(value[name])}
                  onInput={(event) => setTyped({ ...typed, [name]: event.currentTarget.value })}
                />
              )}
            </Field>
          ))}
        </div>
        <Problem error={failure} />
        {report !== undefined && <LimitsChanged report={report} />}
        <div class="actions">
          <button type="submit" class="primary" disabled={changed.length === 0 || isBusy}>
            {changed.length === 0 ? "Change" : `Change ${changed.length}`}
          </button>
          <button type="button" class="quiet" disabled={changed.length === 0} onClick={() => setTyped({})}>
            Undo
          </button>
        </div>
      </form>
    </Panel>
  )
}

function LimitsChanged({ report: { changed, fromNextConnection, needRestart } }: { report: LimitsReport }) {
  const atOnce = changed.filter((name) => !fromNextConnection.includes(name))
  const rows = [
    ["At once", atOnce],
    ["From the next connection on", fromNextConnection],
    ["Not changed, because it needs a restart", needRestart],
  ] as const
  return (
    <dl class="facts">
      {rows
        .filter(([, names]) => names.length > 0)
        .map(([when, names]) => (
          <>
            <dt>{when}</dt>
            <dd>{names.map(words).join(", ")}</dd>
          </>
        ))}
    </dl>
  )
}

function useDescriptions(): Record<string, LimitDescription> {
  const [descriptions, setDescriptions] = useState<Record<string, LimitDescription>>({})
  useEffect(() => {
    const stop = new AbortController()
    open("GET", "openapi.json", {}, undefined, stop.signal)
      .then((response) => response.json())
      .then(({ components }) => setDescriptions(components.schemas.Limits.properties))
      .catch(() => {}) // the limits can be read without
    return () => stop.abort()
  }, [])
  return descriptions
}

function hintOf(name: string, value: number, { description }: LimitDescription = {}): string {
  const amount = value === Number.MAX_SAFE_INTEGER ? "any" : amountOf(name, value)
  return [amount, description].filter(Boolean).join(": ")
}

function amountOf(name: string, value: number): string | undefined {
  if (name.endsWith("Bytes") && value >= 1000) return bytes(value)
  if (name.endsWith("Seconds") && value >= 60) return duration(value)
  return value >= 10_000 ? count(value) : undefined
}

/** What is no number is sent as it is: the broker says what it takes. */
function numberOf(text: string): number | string {
  const digits = text.replaceAll(/[\s,_]/g, "")
  return digits !== "" && Number.isFinite(Number(digits)) ? Number(digits) : text
}

function errorsOf(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {}
  return Object.fromEntries(error.parts.map(({ name, detail }) => [name, detail]))
}

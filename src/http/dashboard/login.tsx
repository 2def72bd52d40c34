/** The page, while it is shut: who are you, or why it cannot be used from here. */
import { useEffect, useRef, useState } from "preact/hooks"
import { ApiError, logIn, refusal } from "./api.ts"
import { Field } from "./parts/field.tsx"
import { Mark } from "./parts/mark.tsx"
import { Problem } from "./parts/problem.tsx"
import "./login.css"

export function Login({ reason }: { reason: ApiError }) {
  return (
    <main class="login">
      <p class="brand">
        <Mark /> manju
      </p>
      {reason.status === 401 ? <LoginForm /> : <Shut reason={reason} />}
    </main>
  )
}

const ways = { password: "Password", token: "Token" }
type Way = keyof typeof ways

function LoginForm() {
  const [way, setWay] = useState<Way>("password")
  const [user, setUser] = useState("admin")
  const [secret, setSecret] = useState("")
  const [error, setError] = useState<unknown>()
  const [isBusy, setBusy] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  const waitSeconds = useWait(error)
  useEffect(() => input.current?.focus(), [way])
  const submit = async (event: Event) => {
    event.preventDefault()
    if (isBusy || waitSeconds > 0) return
    setBusy(true)
    try {
      await logIn(way === "token" ? { token: secret.trim() } : { user, password: secret })
    } catch (thrown) {
      setError(thrown)
      setBusy(false)
      setSecret("")
      input.current?.focus()
    }
  }
  return (
    <form class="panel" onSubmit={submit}>
      <h1>Log in</h1>
      <fieldset>
        <legend class="unseen">With</legend>
        {Object.entries(ways).map(([name, title]) => (
          <label key={name}>
            <input type="radio" name="way" checked={way === name} onChange={() => setWay(name as Way)} /> {title}
          </label>
        ))}
      </fieldset>
      {way === "password" && (
        <Field label="User">
          {(props) => (
            <input
              {...props}
              autocomplete="username"
              autocapitalize="off"
              spellcheck={false}
              value={user}
              onInput={(event) => setUser(event.currentTarget.value)}
              required
            />
          )}
        </Field>
      )}
      <Field label={ways[way]} hint="Kept in this tab, until it is closed">
        {(props) => (
          <input
            key={way}
            {...props}
            ref={input}
            type="password"
            autocomplete={way === "token" ? "off" : "current-password"}
            value={secret}
            onInput={(event) => setSecret(event.currentTarget.value)}
            required
          />
        )}
      </Field>
      <Problem error={error} />
      <button type="submit" class="primary" disabled={isBusy || waitSeconds > 0}>
        {waitSeconds > 0 ? `Again in ${waitSeconds} s` : isBusy ? "Looking…" : "Log in"}
      </button>
    </form>
  )
}

/** How many seconds are left until it may be tried again. */
function useWait(error: unknown): number {
  const [left, setLeft] = useState(0)
  useEffect(() => {
    let seconds = (error instanceof ApiError && error.retryAfterSeconds) || 0
    setLeft(seconds)
    if (seconds === 0) return
    const timer = setInterval(() => {
      setLeft(--seconds)
      if (seconds === 0) clearInterval(timer)
    }, 1000)
    return () => clearInterval(timer)
  }, [error])
  return left
}

const example = `[admin]
token = "at least 16 characters"
# or
password = "…"`

function Shut({ reason }: { reason: ApiError }) {
  return (
    <>
      <h1>Not from here</h1>
      <Problem error={reason}>
        {reason.kind === "not-open-to-others" && (
          <>
            <p>In the configuration file:</p>
            <pre>{example}</pre>
            <p>
              or <code>MANJU_ADMIN_TOKEN</code> in the environment, or <code>admin</code> in <code>dashboard()</code>.
            </p>
          </>
        )}
      </Problem>
      <button type="button" onClick={() => (refusal.value = undefined)}>
        Try again
      </button>
    </>
  )
}

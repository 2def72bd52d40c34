/** The frame of every view: who and where one is, the menu, whether the stream lives, light or dark. */
import { useEffect, useId, useRef, useState } from "preact/hooks"
import { isLoggedIn, logOut, refusal } from "./api.ts"
import { liveProblem, liveState, retryLive, startLive, stopLive } from "./live.ts"
import { Login } from "./login.tsx"
import { Announcements } from "./parts/announce.tsx"
import { Mark } from "./parts/mark.tsx"
import { linkTo, place } from "./route.ts"
import { type Theme, theme, themes } from "./theme.ts"
import { views } from "./views/index.ts"

const [first] = Object.keys(views)

export function App() {
  return refusal.value === undefined ? <Shell /> : <Login reason={refusal.value} />
}

function Shell() {
  useEffect(() => {
    startLive()
    return stopLive
  }, [])
  const { view: asked, of } = place.value
  const name = asked === "" ? first! : asked
  const view = Object.hasOwn(views, name) ? views[name] : undefined
  const title = view?.title ?? "Nothing here"
  const main = useRef<HTMLElement>(null)
  const key = `${name}/${of}`
  const before = useRef(key)
  useEffect(() => {
    document.title = `${of === "" ? title : of} · manju`
    if (before.current !== key) main.current?.focus() // the reader goes on where the page has changed
    before.current = key
  }, [key, of, title])
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <header class="bar">
        <a class="brand" href={linkTo(first!)}>
          <Mark /> manju
        </a>
        <Menu shown={view?.under ?? name} />
        <div class="status">
          <Connection />
          <ThemeSwitch />
          {isLoggedIn() && (
            <button type="button" class="quiet" onClick={logOut}>
              Log out
            </button>
          )}
        </div>
      </header>
      <main ref={main} tabIndex={-1}>
        {view === undefined ? <Nothing /> : <view.component key={key} place={place.value} />}
      </main>
      <Announcements />
    </>
  )
}

function Menu({ shown }: { shown: string }) {
  const [isOpen, setOpen] = useState(false)
  const list = useId()
  const close = (event: KeyboardEvent) => {
    if (event.key === "Escape") setOpen(false)
  }
  return (
    <nav class="menu" aria-label="Views" onKeyDown={close}>
      <button type="button" aria-expanded={isOpen} aria-controls={list} onClick={() => setOpen(!isOpen)}>
        Menu
      </button>
      <ul id={list}>
        {Object.entries(views).map(([name, { title, under }]) =>
          under === undefined ? (
            <li key={name}>
              <a href={linkTo(name)} aria-current={name === shown ? "page" : undefined} onClick={() => setOpen(false)}>
                {title}
              </a>
            </li>
          ) : null,
        )}
      </ul>
    </nav>
  )
}

const said = { connecting: "Connecting…", open: "Live", waiting: "Not connected", hidden: "Paused" }

function Connection() {
  const state = liveState.value
  return (
    <div class={`connection ${state}`} title={liveProblem.value?.message}>
      <span role="status">{said[state]}</span>
      {state === "waiting" && (
        <button type="button" class="quiet" onClick={retryLive}>
          Retry
        </button>
      )}
    </div>
  )
}

function ThemeSwitch() {
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
        {themes.map((each) => (
          <option key={each} value={each}>
            {each === "auto" ? "Auto" : each === "light" ? "Light" : "Dark"}
          </option>
        ))}
      </select>
    </label>
  )
}

function Nothing() {
  return (
    <>
      <h1>Nothing here</h1>
      <p>
        There is no such view. <a href={linkTo(first!)}>Overview</a>
      </p>
    </>
  )
}

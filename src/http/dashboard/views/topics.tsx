/** What goes over which topics: a tree of what is retained and what is published, and the one that is looked at. */
import { useEffect, useState } from "preact/hooks"
import { count, counted } from "../../format.ts"
import { useLive } from "../live.ts"
import { filterError, filterFor } from "../model/topic-filter.ts"
import { Field } from "../parts/field.tsx"
import { Problem } from "../parts/problem.tsx"
import { type Place, refine } from "../route.ts"
import { DeleteRetained } from "../topics/delete-retained.tsx"
import { Detail } from "../topics/detail.tsx"
import { Explorer, explorer } from "../topics/explorer.ts"
import { Tree } from "../topics/tree.tsx"
import "./topics.css"

export function TopicsView({ place: { query } }: { place: Place }) {
  const topic = query.get("topic") ?? undefined
  const kept = explorer.value
  const filter = query.get("filter") ?? filterOf(kept, topic)
  const [isPaused, setPaused] = useState(false)
  const [search, setSearch] = useState("")
  const [deleting, setDeleting] = useState<string>()
  useEffect(() => {
    const shown = explorer.value?.filter === filter ? explorer.value : new Explorer(filter)
    explorer.value = shown
    void shown.load()
  }, [filter])
  const shown = kept?.filter === filter ? kept : undefined
  useLive({ topics: isPaused ? undefined : filter }, { topics: (event) => explorer.value?.see(event) })
  const go = (next: { filter?: string; topic?: string | undefined }) => {
    const { filter: nextFilter = filter, topic: nextTopic } = { topic, ...next }
    refine({ filter: nextFilter, ...(nextTopic !== undefined && { topic: nextTopic }) })
  }
  return (
    <>
      <h1>Topics</h1>
      <Filters
        key={filter}
        {...{ filter, search, setSearch, isPaused, setPaused }}
        setFilter={(next) => go({ filter: next, topic: undefined })}
        onReload={() => void shown?.load()}
        onDelete={() => setDeleting(filter)}
      />
      {deleting !== undefined && (
        <DeleteRetained
          key={deleting}
          filter={deleting}
          onClose={(isDone) => {
            setDeleting(undefined)
            if (isDone) void shown?.load()
          }}
        />
      )}
      {shown !== undefined && (
        <>
          <Summary explorer={shown} isPaused={isPaused} />
          <div class={`explorer ${topic === undefined ? "" : "chosen"}`}>
            <Tree explorer={shown} search={search} chosen={topic} onChoose={(next) => go({ topic: next })} />
            {topic === undefined ? (
              <p class="none hint">Choose a topic to see its values.</p>
            ) : (
              <Detail
                explorer={shown}
                topic={topic}
                onClose={() => go({ topic: undefined })}
                onDeleteBelow={setDeleting}
              />
            )}
          </div>
        </>
      )}
    </>
  )
}

function Filters(props: {
  filter: string
  setFilter: (filter: string) => void
  search: string
  setSearch: (search: string) => void
  isPaused: boolean
  setPaused: (isPaused: boolean) => void
  onReload: () => void
  onDelete: () => void
}) {
  const { filter, setFilter, search, setSearch, isPaused, setPaused, onReload, onDelete } = props
  const [typed, setTyped] = useState(filter)
  const [error, setError] = useState<string>()
  const submit = (event: Event) => {
    event.preventDefault()
    const wrong = filterError(typed)
    setError(wrong)
    if (wrong === undefined) setFilter(typed)
  }
  return (
    <div class="toolbar">
      <form
        onSubmit={submit}
        onFocusOut={() => typed !== filter && filterError(typed) === undefined && setFilter(typed)}
      >
        <Field label="Topic filter" error={error}>
          {(props) => (
            <input
              {...props}
              list="topic-filters"
              spellcheck={false}
              autocapitalize="off"
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          )}
        </Field>
        <datalist id="topic-filters">
          <option value="#">All topics</option>
          <option value="$SYS/#">The broker's own</option>
        </datalist>
      </form>
      <Field label="Search in names">
        {(props) => (
          <input {...props} type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        )}
      </Field>
      <div class="actions">
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          Pause
        </button>
        <button type="button" onClick={onReload}>
          Reload
        </button>
        <button type="button" onClick={onDelete}>
          Delete retained…
        </button>
      </div>
    </div>
  )
}

function Summary({ explorer, isPaused }: { explorer: Explorer; isPaused: boolean }) {
  const { omittedMessages } = explorer
  const { tree } = explorer.shown.value
  const { isBusy, loaded, total, error } = explorer.loading.value
  return (
    <>
      <p class="muted summary">
        {counted(tree.size, "topic")}
        {isBusy && total > 0 && `, ${count(loaded)} of ${count(total)} retained loaded`}
        {!isBusy &&
          total > loaded &&
          `. Of ${count(total)} retained ones ${count(loaded)} are here: a narrower filter shows the others`}
        {tree.left > 0 &&
          `. There is room for ${count(tree.size)}: ${counted(tree.left, "topic")} that had not been seen for long left`}
        {omittedMessages > 0 &&
          !isPaused &&
          `. ${counted(omittedMessages, "message")} of the last second were over more topics than are shown at once`}
        {isPaused && ". Paused"}.
      </p>
      <Problem error={error} />
    </>
  )
}

/** That of the tree that is there, if the topic is in it. */
function filterOf(kept: Explorer | undefined, topic: string | undefined): string {
  if (kept !== undefined && (topic === undefined || kept.tree.get(topic) !== undefined)) return kept.filter
  return topic === undefined ? "#" : filterFor(topic)
}

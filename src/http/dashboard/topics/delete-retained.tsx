import { useState } from "preact/hooks"
import { count, counted } from "../../format.ts"
import { get, remove } from "../api.ts"
import { filterError } from "../model/topic-filter.ts"
import { announce } from "../parts/announce.tsx"
import { Confirm } from "../parts/confirm.tsx"
import { Field } from "../parts/field.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"

/** Forgets what is retained for all topics of a filter: how many those are is counted before somebody says yes. */
export function DeleteRetained({ filter, onClose }: { filter: string; onClose: (isDone: boolean) => void }) {
  const [typed, setTyped] = useState(filter)
  const [counting, setCounting] = useState<{ filter: string; total: number }>()
  const [error, setError] = useState<unknown>()
  const [isWrong, setWrong] = useState(false)
  const [isAsked, setAsked] = useState(false)
  const wrong = filterError(typed)
  const found = counting?.filter === typed ? counting : undefined
  const countThem = async (event: Event) => {
    event.preventDefault()
    setWrong(wrong !== undefined)
    setError(undefined)
    if (wrong !== undefined) return
    try {
      const { total } = await get("retained-messages", { topicFilter: typed, limit: 1 })
      setCounting({ filter: typed, total })
    } catch (thrown) {
      setError(thrown)
    }
  }
  const act = async () => {
    const { deleted } = await remove<{ deleted: number }>("retained-messages", { topicFilter: typed })
    announce(`Deleted ${counted(deleted, "retained message")}.`)
  }
  return (
    <Panel title="Delete retained messages" class="delete-retained">
      <form class="toolbar" onSubmit={countThem}>
        <Field label="Topic filter" error={isWrong ? wrong : undefined} hint="Subscribers are not told.">
          {(props) => <input {...props} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <button type="submit">Count them</button>
          {found !== undefined && found.total > 0 && (
            <button type="button" class="danger" onClick={() => setAsked(true)}>
              Delete {count(found.total)}…
            </button>
          )}
          <button type="button" class="quiet" onClick={() => onClose(false)}>
            Close
          </button>
        </div>
      </form>
      <p role="status">
        {found !== undefined &&
          `${counted(found.total, "retained message")} ${found.total === 1 ? "matches" : "match"}.`}
      </p>
      <Problem error={error} />
      {isAsked && found !== undefined && (
        <Confirm
          title={`Delete ${counted(found.total, "retained message")}?`}
          action={`Delete ${count(found.total)}`}
          act={act}
          onClose={(isDone) => {
            setAsked(false)
            if (isDone) onClose(true)
          }}
        >
          <p>
            All that is retained for <code>{typed}</code> will be gone, for good.
          </p>
        </Confirm>
      )}
    </Panel>
  )
}

import { useEffect, useState } from "preact/hooks"
import { bytes, count, counted, dateAndTime, timeOfDay } from "../../format.ts"
import { ApiError, remove } from "../api.ts"
import { numbersOf, type Payload, previewOf, visible } from "../model/payload.ts"
import { filterBelow } from "../model/topic-filter.ts"
import type { TopicValue } from "../model/topic-tree.ts"
import { announce } from "../parts/announce.tsx"
import { Confirm } from "../parts/confirm.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Panel } from "../parts/panel.tsx"
import { PayloadView } from "../parts/payload.tsx"
import { Problem } from "../parts/problem.tsx"
import { Sparkline } from "../parts/sparkline.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo } from "../route.ts"
import type { RetainedMessage } from "../types.ts"
import type { Explorer } from "./explorer.ts"

/** Values of the history that are shown at once. */
const AT_ONCE = 20
const NO_HISTORY: readonly TopicValue[] = []

/** The topic that is looked at. */
export function Detail(props: {
  explorer: Explorer
  topic: string
  onClose: () => void
  onDeleteBelow: (filter: string) => void
}) {
  const { explorer, topic, onClose, onDeleteBelow } = props
  const node = explorer.shown.value.tree.get(topic)
  const isSought = node === undefined && !explorer.loading.value.isBusy
  useEffect(() => {
    if (isSought) explorer.find(topic).catch(() => {}) // the tree says what is wrong
  }, [explorer, topic, isSought])
  const isBranch = node !== undefined && node.value === undefined
  useEffect(() => {
    if (node !== undefined) explorer.tree.watch(topic)
  }, [explorer, topic, node])
  return (
    <Panel
      title={topic === "" ? "(empty)" : visible(topic)}
      class="detail"
      actions={
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      }
    >
      <p class="links">
        <a href={linkTo("publish", "", { topic })}>Publish here</a>
        <a href={linkTo("explain", "", { topic })}>Explain</a>
        <a href={linkTo("subscriptions", "", { topic })}>Who gets it</a>
        {node?.children !== undefined && (
          <a href={linkTo("topics", "", { filter: filterBelow(topic), topic })}>Only this branch</a>
        )}
      </p>
      {node?.children !== undefined && (
        <p>
          {counted(isBranch ? node.topics : node.topics - 1, "topic")} below, {counted(node.messages, "message")} seen.{" "}
          <button type="button" onClick={() => onDeleteBelow(filterBelow(topic))}>
            Delete what is retained here…
          </button>
        </p>
      )}
      {!isBranch && (
        <Value
          key={topic}
          {...{ explorer, topic }}
          value={node?.value}
          history={node?.history ?? NO_HISTORY}
          isRetained={node?.isRetained === true}
          messages={node?.messagesHere ?? 0}
        />
      )}
    </Panel>
  )
}

/** Not the node itself: that is the same one when what it holds has changed, and then nothing would be drawn. */
function Value(props: {
  explorer: Explorer
  topic: string
  value: TopicValue | undefined
  history: readonly TopicValue[]
  isRetained: boolean
  messages: number
}) {
  const { explorer, topic, value, history, isRetained, messages } = props
  const [isAsked, setAsked] = useState(false)
  const fetched = useFetched(isRetained ? "retained-message" : undefined, { topic })
  const { reload } = fetched
  const retainedAt = history.findLast(({ retain }) => retain)?.time
  const isMore = value?.isTruncated === true || fetched.value?.properties !== undefined // than the stream has of it
  useEffect(() => {
    if (retainedAt !== undefined && isMore) reload()
  }, [retainedAt, isMore, reload])
  const whole = isRetained ? fetched.value : undefined
  const isWhole = whole !== undefined && (value === undefined || isBeginningOf(value, whole))
  const shown: Payload | undefined = isWhole ? whole : value
  const isMissing = fetched.error instanceof ApiError && fetched.error.kind === "not-found"
  return (
    <>
      {fetched.error !== undefined && !isMissing && <Problem error={fetched.error} />}
      {shown === undefined ? (
        <p class="none">{fetched.isBusy ? "Loading…" : "Nothing has been seen there yet."}</p>
      ) : (
        <>
          <Facts {...{ shown, value, isRetained, messages }} qos={value?.qos ?? whole!.qos} />
          <PayloadView payload={shown} />
          {isWhole && <Properties message={whole} />}
        </>
      )}
      {isRetained && whole !== undefined && (
        <p>
          <button type="button" onClick={() => setAsked(true)}>
            Delete the retained message…
          </button>
        </p>
      )}
      <Numbers history={history} />
      <History history={history} />
      {isAsked && (
        <Confirm
          title="Delete the retained message?"
          action="Delete"
          act={async () => {
            await remove("retained-message", { topic })
            explorer.tree.forget((other) => other === topic)
            explorer.changed()
            announce(`Deleted what was retained for ${topic}.`)
          }}
          onClose={() => setAsked(false)}
        >
          <p>
            What is retained for <code>{visible(topic)}</code> will be gone, for good. Subscribers are not told.
          </p>
        </Confirm>
      )}
    </>
  )
}

function Facts(props: {
  shown: Payload
  value: TopicValue | undefined
  qos: number
  isRetained: boolean
  messages: number
}) {
  const { shown, value, qos, isRetained, messages } = props
  return (
    <dl class="facts">
      <dt>Size</dt>
      <dd>{bytes(shown.payloadBytes)}</dd>
      <dt>QoS</dt>
      <dd>{qos}</dd>
      <dt>Retained</dt>
      <dd>{isRetained ? "yes" : "no"}</dd>
      <dt>Seen</dt>
      <dd>{value?.time === undefined ? "before this view was opened" : dateAndTime(value.time)}</dd>
      <dt>Messages</dt>
      <dd>{count(messages)}</dd>
    </dl>
  )
}

function Properties({ message: { properties } }: { message: RetainedMessage }) {
  if (properties === undefined) return null
  const { userProperties = [], ...others } = properties
  const rows = [...Object.entries(others).map(([name, value]) => [name, String(value)] as const), ...userProperties]
  return (
    <Table
      caption="Properties"
      columns={[
        { title: "Property", cell: ([name]) => visible(name) },
        { title: "Value", cell: ([, value]) => visible(value) },
      ]}
      rows={rows.map((row, index) => [...row, index] as const)}
      keyOf={([, , index]) => String(index)}
      none=""
    />
  )
}

function Numbers({ history }: { history: readonly TopicValue[] }) {
  const [path, setPath] = useState<string>()
  const last = history.at(-1)
  if (last === undefined) return null
  const paths = [...numbersOf(last).keys()]
  const chosen = path ?? paths[0]
  if (chosen === undefined) return null
  const points = history.flatMap((value) => {
    const number = numbersOf(value).get(chosen)
    return number === undefined || value.time === undefined ? [] : [{ time: value.time, value: number }]
  })
  const offered = paths.includes(chosen) ? paths : [chosen, ...paths]
  const name = chosen === "" ? "value" : chosen
  return (
    <>
      <h3>Over time</h3>
      {offered.length > 1 && (
        <label class="inline">
          Number{" "}
          <select value={chosen} onChange={(event) => setPath(event.currentTarget.value)}>
            {offered.map((each) => (
              <option key={each} value={each}>
                {visible(each)}
              </option>
            ))}
          </select>
        </label>
      )}
      <Sparkline points={points} label={name} />
    </>
  )
}

function History({ history }: { history: readonly TopicValue[] }) {
  const [most, setMost] = useState(AT_ONCE)
  if (history.length === 0) return null
  const shown = history.slice(-most).reverse()
  return (
    <>
      <h3>Last values</h3>
      <p class="muted">The last one of each second in which any was seen.</p>
      <Table
        caption="Last values"
        columns={[
          { title: "Time", cell: ({ time }) => timeOfDay(time!) },
          { title: "Value", cell: (value) => <code>{previewOf(value, 60)}</code> },
          { title: "Size", cell: ({ payloadBytes }) => bytes(payloadBytes), isNumber: true, isExtra: true },
          { title: "QoS", cell: ({ qos, retain }) => (retain ? `${qos}, retain` : qos), isExtra: true },
          { title: "Messages", cell: ({ messages }) => count(messages), isNumber: true, isExtra: true },
        ]}
        rows={shown}
        keyOf={({ time }) => String(time)}
        none=""
      />
      {history.length > most && (
        <button type="button" onClick={() => setMost(10 * most)}>
          Show more of {history.length}
        </button>
      )}
    </>
  )
}

/** Whether what was seen is what is retained, of which all is there. */
function isBeginningOf(value: TopicValue, whole: RetainedMessage): boolean {
  if (value.payloadBytes !== whole.payloadBytes) return false
  const [seen, all] = [value.payload ?? value.payloadBase64 ?? "", whole.payload ?? whole.payloadBase64 ?? ""]
  return value.isTruncated ? all.startsWith(seen.slice(0, 200)) : seen === all
}

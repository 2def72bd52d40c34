/** Why a client does not get the messages of a topic, or nobody gets its. */
import { useRef, useState } from "preact/hooks"
import { bytes, count, counted, dateAndTime, timeOfDay } from "../../format.ts"
import { useLive } from "../live.ts"
import { visible } from "../model/payload.ts"
import { Link } from "../parts/client-link.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Field } from "../parts/field.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import { Table } from "../parts/table.tsx"
import { type Place, refine } from "../route.ts"
import type { Explanation, TracedMessage } from "../types.ts"
import "./explain.css"

type Side = Explanation["publish"]
type Finding = Side["findings"][number]
/** Many look alike. */
type Seen = TracedMessage & { readonly id: number }

const MOST_TRACED = 100

const signs: Record<Finding["effect"], string> = { stops: "✗", "may stop": "!", passes: "✓", note: "·" }
const outcomes: Record<Side["outcome"], string> = { yes: "Yes", perhaps: "Perhaps", no: "No" }

export function ExplainView({ place: { query } }: { place: Place }) {
  // `client` is what people write, and what the command's flag is called
  const clientId = query.get("clientId") ?? query.get("client") ?? ""
  const topic = query.get("topic") ?? ""
  const from = query.get("from") ?? ""
  const isAsked = clientId !== "" && topic !== ""
  const { value, error, isBusy, reload } = useFetched(isAsked ? "explain" : undefined, { clientId, topic, from })
  return (
    <>
      <h1>Explain</h1>
      <p class="muted">Whether messages of a topic reach a client now, and what is in their way.</p>
      <Asking key={`${clientId}\n${topic}\n${from}`} {...{ clientId, topic, from, isBusy }} onAgain={reload} />
      <Problem error={error} />
      {isAsked && value !== undefined && (
        <div class="columns">
          <SideView title="Publishing" side={value.publish} />
          <SideView title="Receiving" side={value.receive} />
        </div>
      )}
      {isAsked && <TraceView key={`${clientId}\n${topic}`} clientId={clientId} topic={topic} />}
    </>
  )
}

function Asking(props: { clientId: string; topic: string; from: string; isBusy: boolean; onAgain: () => void }) {
  const { isBusy, onAgain } = props
  const [clientId, setClientId] = useState(props.clientId)
  const [topic, setTopic] = useState(props.topic)
  const [from, setFrom] = useState(props.from)
  const [isWrong, setWrong] = useState(false)
  const submit = (event: Event) => {
    event.preventDefault()
    setWrong(clientId === "" || topic === "")
    if (clientId === "" || topic === "") return
    if (clientId === props.clientId && topic === props.topic && from === props.from) onAgain()
    else refine({ clientId, topic, ...(from !== "" && { from }) })
  }
  const fields = [
    { label: "Client that does not get it", value: clientId, set: setClientId, error: "Whose?" },
    { label: "Topic", value: topic, set: setTopic, error: "Of which topic?" },
    { label: "Published by, if another", value: from, set: setFrom, error: undefined },
  ]
  return (
    <form class="toolbar" onSubmit={submit} noValidate>
      {fields.map(({ label, value, set, error }) => (
        <Field key={label} label={label} error={isWrong && value === "" ? error : undefined}>
          {(props) => (
            <input
              {...props}
              spellcheck={false}
              autocapitalize="off"
              required={error !== undefined}
              value={value}
              onInput={(event) => set(event.currentTarget.value)}
            />
          )}
        </Field>
      ))}
      <button type="submit" class="primary" disabled={isBusy}>
        Explain
      </button>
    </form>
  )
}

function SideView({ title, side }: { title: string; side: Side }) {
  return (
    <Panel title={title}>
      <p class={`answer ${side.outcome}`}>
        <strong>{outcomes[side.outcome]}:</strong> {visible(side.words)}.
      </p>
      <ul class="findings">
        {side.findings.map((finding, index) => (
          <li key={index} class={finding.effect.replace(" ", "-")}>
            <span aria-hidden="true">{signs[finding.effect]}</span>
            <span>
              {finding.effect !== "note" && <span class="unseen">{finding.effect}: </span>}
              {visible(finding.words)}
              {finding.count !== undefined && <small class="muted"> {whenOf(finding)}</small>}
            </span>
          </li>
        ))}
      </ul>
      <p>
        <Link clientId={side.clientId} />
      </p>
    </Panel>
  )
}

/** What becomes of messages while somebody looks. */
function TraceView({ clientId, topic }: { clientId: string; topic: string }) {
  const [isOn, setOn] = useState(false)
  const [messages, setMessages] = useState<readonly Seen[]>([])
  const [omitted, setOmitted] = useState(0)
  const next = useRef(0)
  useLive(isOn ? { trace: topic, traceClient: clientId } : {}, {
    trace: (event) => {
      const seen = event.messages.map((message) => ({ ...message, id: next.current++ })).reverse()
      setMessages((before) => [...seen, ...before].slice(0, MOST_TRACED))
      setOmitted((before) => before + event.omitted)
    },
  })
  return (
    <Panel
      title="Messages as they are published"
      actions={
        <button type="button" aria-pressed={isOn} onClick={() => setOn(!isOn)}>
          {isOn ? "Stop" : "Watch"}
        </button>
      }
    >
      {omitted > 0 && <p class="muted">{counted(omitted, "message")} more than can be shown.</p>}
      {(isOn || messages.length > 0) && (
        <Table
          caption="Messages of the topic that the client has published or should get"
          columns={[
            { title: "Time", cell: ({ time }) => timeOfDay(time) },
            { title: "From", cell: ({ from }) => (from === undefined ? "the broker" : visible(from)) },
            { title: "What became of it", cell: (message) => <Fates message={message} /> },
            { title: "QoS", cell: ({ qos }) => qos ?? "", isNumber: true, isExtra: true },
            {
              title: "Size",
              cell: ({ payloadBytes }) => payloadBytes !== undefined && bytes(payloadBytes),
              isNumber: true,
              isExtra: true,
            },
          ]}
          rows={messages}
          keyOf={({ id }) => String(id)}
          none="Nothing yet: publish something there."
        />
      )}
    </Panel>
  )
}

function Fates({ message: { refused, fates, moreReceivers } }: { message: TracedMessage }) {
  if (refused !== undefined) return <span class="bad">refused: {visible(refused)}</span>
  if (fates.length === 0) return <span class="warn">goes to nobody</span>
  const words = fates.map(({ clientId, fate, reason, share }) => {
    const whom = clientId === undefined ? "nobody" : visible(clientId)
    const why = [reason, share].filter((part) => part !== undefined).map((part) => visible(part))
    return `${fate} ${fate === "sent" ? "to" : "for"} ${whom}${why.length === 0 ? "" : ` (${why.join(", ")})`}`
  })
  const isBad = fates.some(({ fate }) => fate === "dropped")
  return (
    <span class={isBad ? "bad" : undefined}>
      {words.join("; ")}
      {moreReceivers > 0 && ` and ${count(moreReceivers)} more`}
    </span>
  )
}

function whenOf({ count = 0, lastAt }: Finding): string {
  const times = counted(count, "time")
  return lastAt === undefined ? `(${times})` : `(${times}, last ${dateAndTime(lastAt)})`
}

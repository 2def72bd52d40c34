/** One client: who it is, what goes to and fro, what waits for it, what it is subscribed to. */
import { type ComponentChildren, Fragment } from "preact"
import { useState } from "preact/hooks"
import { bytes, count, dateAndTime, duration } from "../../format.ts"
import { ApiError } from "../api.ts"
import { brokerTime } from "../live.ts"
import { visible } from "../model/payload.ts"
import { Disconnect } from "../parts/disconnect.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo, type Place } from "../route.ts"
import type { ClientDetails, Session } from "../types.ts"

const EVERY_MS = 2000
const retainHandlings = ["sent", "sent if new", "not sent"] as const

export function ClientView({ place: { of: clientId } }: { place: Place }) {
  const client = useFetched("client", { clientId }, EVERY_MS)
  const isAway = client.error instanceof ApiError && client.error.kind === "not-found"
  const session = useFetched("session", { clientId }, EVERY_MS)
  const [isAsked, setAsked] = useState(false)
  return (
    <>
      <p>
        <a href={linkTo("clients")}>Clients</a>
      </p>
      <div class="heading">
        <h1>{clientId === "" ? "(no id)" : visible(clientId)}</h1>
        <div class="actions">
          <a href={linkTo("explain", "", { clientId })}>Why does it not get a message?</a>
          {client.value !== undefined && (
            <button type="button" class="danger" onClick={() => setAsked(true)}>
              Disconnect…
            </button>
          )}
        </div>
      </div>
      {isAway ? <p class="warn">It is not connected.</p> : <Problem error={client.error} />}
      <div class="panels">
        {client.value !== undefined && <Connection client={client.value} />}
        {client.value !== undefined && <Traffic client={client.value} />}
        {session.value !== undefined && <SessionPanel session={session.value} />}
      </div>
      {client.value !== undefined && <Subscriptions client={client.value} />}
      {isAway && session.value === undefined && !session.isBusy && <p>Nor is there a session of it.</p>}
      {isAsked && (
        <Disconnect
          clientId={clientId}
          onClose={(isDone) => {
            setAsked(false)
            if (isDone) client.reload()
          }}
        />
      )}
    </>
  )
}

function Facts({ of }: { of: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  )
}

function Connection({ client }: { client: ClientDetails }) {
  const { username, keepAliveSeconds } = client
  const facts = [
    ["User", username === undefined ? <span class="muted">none</span> : <Users username={username} />],
    ["Address", <span class="mono">{client.remoteAddress}</span>],
    ["Listener", <a href={linkTo("clients", "", { listener: client.listener })}>{visible(client.listener)}</a>],
    ["Protocol", `MQTT ${client.protocol}`],
    [
      "Connected",
      `${dateAndTime(client.connectedAt)} (${duration(Math.max(0, brokerTime() - client.connectedAt) / 1000)} ago)`,
    ],
    ["Keep-alive", keepAliveSeconds === 0 ? "none" : duration(keepAliveSeconds)],
    ["Began", client.cleanStart ? "with a new session" : "with the session that there was, if any"],
    ["Session ends", sessionEnd(client.sessionExpirySeconds)],
  ] as const
  return (
    <Panel title="Connection">
      <Facts of={facts} />
    </Panel>
  )
}

function Users({ username }: { username: string }) {
  return <a href={linkTo("clients", "", { username })}>{visible(username)}</a>
}

function sessionEnd(seconds: number): string {
  if (seconds === 0) return "with the connection"
  const time = duration(seconds)
  return time === "never" ? time : `${time} after the connection`
}

function Traffic({ client }: { client: ClientDetails }) {
  const facts = [
    ["Messages in", count(client.messagesReceived)],
    ["Messages out", count(client.messagesSent)],
    ["Bytes in", bytes(client.bytesReceived)],
    ["Bytes out", bytes(client.bytesSent)],
    ["In flight", count(client.inflightMessages)],
    ["Queued", count(client.queuedMessages)],
    ["Waits for its socket", bytes(client.backlogBytes)],
  ] as const
  return (
    <Panel title="Traffic">
      <Facts of={facts} />
    </Panel>
  )
}

function SessionPanel({ session }: { session: Session }) {
  const facts = [
    ["State", session.isConnected ? <span class="good">✓ Connected</span> : <span class="warn">Away</span>],
    ...(session.disconnectedAt === undefined ? [] : [["Left", dateAndTime(session.disconnectedAt)] as const]),
    ...(session.expiresAt === undefined ? [] : [["Ends", dateAndTime(session.expiresAt)] as const]),
    ["In flight", count(session.inflightMessages)],
    ["Queued", `${count(session.queuedMessages)} (${bytes(session.queuedBytes)} in memory)`],
    ["Subscriptions", count(session.subscriptions)],
    ["Will", session.willTopic === undefined ? "none" : <code>{visible(session.willTopic)}</code>],
  ] as const
  const { clientId } = session
  return (
    <Panel
      title="Session"
      actions={
        <>
          <a href={linkTo("sessions", "", { text: clientId })}>Sessions</a>
          <a href={linkTo("subscriptions", "", { clientId })}>Subscriptions</a>
        </>
      }
    >
      <Facts of={facts} />
    </Panel>
  )
}

function Subscriptions({ client: { clientId, subscriptions } }: { client: ClientDetails }) {
  return (
    <Panel title="Subscriptions">
      <Table
        caption="What it is subscribed to"
        columns={[
          { title: "Topic filter", cell: ({ topicFilter }) => <code>{visible(topicFilter)}</code> },
          { title: "QoS", cell: ({ qos }) => qos, isNumber: true },
          { title: "Retained", cell: ({ retainHandling }) => retainHandlings[retainHandling], isExtra: true },
          { title: "Options", cell: optionsOf, isExtra: true },
          {
            title: "Explain",
            cell: ({ topicFilter }) =>
              /[+#]/.test(topicFilter) ? null : (
                <a href={linkTo("explain", "", { clientId, topic: topicFilter })}>Explain</a>
              ),
          },
        ]}
        rows={subscriptions}
        keyOf={({ topicFilter }) => topicFilter}
        none="Nothing."
      />
    </Panel>
  )
}

function optionsOf({ noLocal, retainAsPublished }: ClientDetails["subscriptions"][number]): string {
  return [noLocal && "no local", retainAsPublished && "retain as published"].filter(Boolean).join(", ")
}

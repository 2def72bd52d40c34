/** How the broker is, at a glance: what goes through it, what it holds, what it could not do, and where it listens. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import { bytes, count, dateAndTime, duration, figure, milliseconds } from "../../format.ts"
import { figures, history, liveProblem, liveState, useLive } from "../live.ts"
import { Chart } from "../parts/chart.tsx"
import { Link } from "../parts/client-link.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Listeners } from "../parts/listeners.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo } from "../route.ts"
import type { ClientActivity, Figures } from "../types.ts"
import "./overview.css"

const BUSIEST = 8

export function OverviewView() {
  const { value: metrics } = useFetched("metrics")
  const now = figures.value
  return (
    <>
      <div class="heading">
        <h1>Overview</h1>
        <p class="muted">
          {metrics !== undefined && (
            <>
              manju {metrics.version}, since {dateAndTime(metrics.startedAt)}
              {now !== undefined && ` (${duration(now.uptimeSeconds)})`}
            </>
          )}
        </p>
      </div>
      {liveState.value !== "open" && <Problem error={liveProblem.value} />}
      {now !== undefined && <Trouble now={now} />}
      {now === undefined ? <p class="muted">Waiting for the first figures…</p> : <Tiles now={now} />}
      <div class="charts">
        <Chart
          title="Messages per second"
          lines={[
            { title: "In", of: ({ rates }) => rates.messagesReceived },
            { title: "Out", of: ({ rates }) => rates.messagesSent },
          ]}
          format={figure}
        />
        <Chart
          title="Traffic per second"
          lines={[
            { title: "In", of: ({ rates }) => rates.bytesReceived },
            { title: "Out", of: ({ rates }) => rates.bytesSent },
          ]}
          format={bytes}
          isBinary
          atLeast={1024}
        />
        <Chart
          title="Clients"
          lines={[
            { title: "Clients", of: ({ clients }) => clients },
            { title: "Connections", of: ({ connections }) => connections },
          ]}
          format={figure}
          atLeast={4}
        />
        <Chart
          title="Latency"
          lines={[
            { title: "Event loop", of: ({ eventLoopLagMs }) => eventLoopLagMs },
            ...(now?.store === undefined ? [] : commitLines),
          ]}
          key={now?.store === undefined ? "without commits" : "with commits"}
          format={milliseconds}
        />
        <Chart
          title="Dropped and refused per second"
          lines={[
            { title: "Messages dropped", of: ({ rates }) => rates.dropped },
            { title: "Connections refused", of: ({ rates }) => rates.connectsRefused },
            { title: "Wrong logins", of: ({ rates }) => rates.authFailures },
          ]}
          format={figure}
        />
        <Chart
          title="Memory"
          lines={[
            { title: "Process", of: ({ memory }) => memory.residentBytes },
            { title: "Heap", of: ({ memory }) => memory.heapUsedBytes },
          ]}
          format={bytes}
          isBinary
          atLeast={1_048_576}
        />
      </div>
      <div class="panels">
        <Busiest />
        {now !== undefined && <Losses now={now} />}
        {now !== undefined && <Store now={now} />}
      </div>
      <Listeners />
    </>
  )
}

const commitLines = [
  { title: "Commit, median", of: ({ store }: Figures) => store?.commitP50Ms },
  { title: "Commit, 99 %", of: ({ store }: Figures) => store?.commitP99Ms },
]

function Trouble({ now: { store } }: { now: Figures }) {
  if (store === undefined || store.isReady) return null
  return (
    <div class="problem" role="alert">
      <strong>The store fails</strong>
      <p>
        What has to outlive a restart is not acknowledged until it works again: the log says what it is.{" "}
        {bytes(store.unstoredBytes)} wait for it.
      </p>
    </div>
  )
}

function Tiles({ now }: { now: Figures }) {
  const { rates, memory } = now
  return (
    <dl class="tiles">
      <Tile title="Messages in" value={figure(rates.messagesReceived)} unit="/s" />
      <Tile title="Messages out" value={figure(rates.messagesSent)} unit="/s" />
      <Tile title="Clients" value={<a href={linkTo("clients")}>{count(now.clients)}</a>} />
      <Tile title="Sessions" value={<a href={linkTo("sessions")}>{count(now.sessions)}</a>} />
      <Tile title="Subscriptions" value={<a href={linkTo("subscriptions")}>{count(now.subscriptions)}</a>} />
      <Tile title="Retained" value={<a href={linkTo("topics")}>{count(now.retainedMessages)}</a>} />
      <Tile title="In flight" value={figure(now.inflightMessages)} />
      <Tile title="Queued" value={figure(now.queuedMessages)} unit={` ${bytes(now.queuedBytes)}`} />
      <Tile title="Event loop late by" value={milliseconds(now.eventLoopLagMs)} />
      <Tile title="Memory" value={bytes(memory.residentBytes)} />
    </dl>
  )
}

function Tile({ title, value, unit }: { title: string; value: ComponentChildren; unit?: string }) {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        {value}
        {unit !== undefined && <small>{unit}</small>}
      </dd>
    </div>
  )
}

function Busiest() {
  const [clients, setClients] = useState<readonly ClientActivity[]>([])
  useLive({ clients: BUSIEST }, { clients: (event) => setClients(event.clients) })
  return (
    <Panel title="Busiest clients now">
      <Table
        caption="The clients with the most messages in the last second"
        columns={[
          { title: "Client", cell: (row) => <Link {...row} /> },
          { title: "In /s", cell: ({ received }) => count(received), isNumber: true },
          { title: "Out /s", cell: ({ sent }) => count(sent), isNumber: true },
        ]}
        rows={clients}
        keyOf={({ clientId }) => clientId}
        none="No messages at the moment."
      />
    </Panel>
  )
}

function Losses({ now }: { now: Figures }) {
  const [first] = history.value
  const rows = [
    ...Object.entries(now.dropped).map(([reason, total]) => {
      return { what: "Message dropped", reason, total, recent: total - (first?.dropped[reason] ?? 0) }
    }),
    ...Object.entries(now.limitsHit).map(([reason, total]) => {
      return { what: "Limit reached", reason, total, recent: total - (first?.limitsHit[reason] ?? 0) }
    }),
  ].sort((a, b) => b.total - a.total)
  return (
    <Panel title="Drops and limits">
      <Table
        caption="What could not be done, by reason"
        columns={[
          { title: "Reason", cell: ({ reason }) => reason },
          { title: "What", cell: ({ what }) => <span class="muted">{what}</span>, isExtra: true },
          { title: "While watched", cell: ({ recent }) => count(recent), isNumber: true },
          { title: "Since the start", cell: ({ total }) => count(total), isNumber: true },
        ]}
        rows={rows}
        keyOf={({ what, reason }) => `${what} ${reason}`}
        none="Nothing has been dropped, and no limit has been reached."
      />
    </Panel>
  )
}

function Store({ now: { store } }: { now: Figures }) {
  if (store === undefined) {
    return (
      <Panel title="Store">
        <p class="muted">
          There is none: sessions and retained messages are kept in memory, and a restart forgets them.
        </p>
      </Panel>
    )
  }
  return (
    <Panel title="Store">
      <dl class="facts">
        <dt>State</dt>
        <dd>{store.isReady ? <span class="good">✓ Ready</span> : <span class="bad">✗ Failing</span>}</dd>
        <dt>Commits</dt>
        <dd>
          {figure(store.commits)} a second
          {store.commitP50Ms !== undefined && `, median ${milliseconds(store.commitP50Ms)}`}
          {store.commitP99Ms !== undefined && `, 99 % within ${milliseconds(store.commitP99Ms)}`}
        </dd>
        <dt>Waits for it</dt>
        <dd>{bytes(store.unstoredBytes)}</dd>
        <dt>Written</dt>
        <dd>{bytes(store.bytesWritten)}</dd>
      </dl>
    </Panel>
  )
}

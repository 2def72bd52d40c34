/** How the broker is, at a glance: what goes through it, what it holds, what it could not do, and where it listens. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import { bytes, count, dateAndTime, duration, figure, milliseconds } from "../format.ts"
import { figures, history, liveProblem, liveState, useLive } from "../live.ts"
import { visible } from "../model/payload.ts"
import { Chart } from "../parts/chart.tsx"
import { Link } from "../parts/client-link.tsx"
import { useFetched } from "../parts/fetched.ts"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo } from "../route.ts"
import type { ClientActivity, Figures, Listener } from "../types.ts"
import "./overview.css"

const EVERY_MS = 5000
const BUSIEST = 8
/** Of the connections that a listener takes, from which share on it is worth a word. */
const NEARLY_FULL = 0.9

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

function Listeners() {
  const { value, error, isBusy } = useFetched("listeners", {}, EVERY_MS)
  return (
    <Panel title="Listeners">
      <Problem error={error} />
      <Table
        caption="Listeners that are open"
        columns={[
          { title: "Listener", cell: ({ id }) => visible(id) },
          { title: "State", cell: stateOf },
          { title: "Address", cell: ({ hostname, port }) => <span class="mono">{address(hostname, port)}</span> },
          { title: "Connections", cell: connectionsOf, isNumber: true },
          { title: "Offers", cell: offerOf, isExtra: true },
        ]}
        rows={value ?? []}
        keyOf={({ id }) => id}
        none="None is open: nobody can connect."
        isBusy={isBusy && value === undefined}
      />
    </Panel>
  )
}

function stateOf({ connections, limits }: Listener) {
  const most = limits?.maximumConnections
  if (connections === undefined || most === undefined) return <span class="good">✓ Open</span>
  if (connections >= most) return <span class="bad">✗ Full: turns clients away</span>
  if (connections >= NEARLY_FULL * most) return <span class="warn">! Nearly full</span>
  return <span class="good">✓ Open</span>
}

function address(hostname: string, port: number): string {
  if (port === 0) return hostname // a Unix socket
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`
}

function connectionsOf({ id, connections, limits }: Listener) {
  if (connections === undefined) return <span class="muted">no MQTT</span>
  return (
    <>
      <a href={linkTo("clients", "", { listener: id })}>{count(connections)}</a>
      {limits !== undefined && limits.maximumConnections < Number.MAX_SAFE_INTEGER && (
        <span class="muted"> of {count(limits.maximumConnections)}</span>
      )}
    </>
  )
}

const versions = { 3: "3.1", 4: "3.1.1", 5: "5.0" }

function offerOf({ limits }: Listener) {
  if (limits === undefined) return <span class="muted">health, metrics, admin</span>
  const lacks = [
    !limits.retainAvailable && "no retained messages",
    !limits.wildcardSubscriptionAvailable && "no wildcards",
    !limits.sharedSubscriptionAvailable && "no shared subscriptions",
    limits.mountPoint !== "" && `below ${limits.mountPoint}`,
  ]
  const spoken = limits.protocolLevels.map((level) => versions[level]).join(", ")
  return [`MQTT ${spoken}`, `QoS up to ${limits.maximumQoS}`, ...lacks].filter(Boolean).join("; ")
}

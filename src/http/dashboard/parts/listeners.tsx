/** The listeners that are open: how each is, where, with how many connections, and what it offers. */
import { count } from "../../format.ts"
import { visible } from "../model/payload.ts"
import { linkTo } from "../route.ts"
import type { Listener } from "../types.ts"
import { useFetched } from "./fetched.ts"
import { Panel } from "./panel.tsx"
import { Problem } from "./problem.tsx"
import { Table } from "./table.tsx"

const EVERY_MS = 5000
/** Of the connections that a listener takes, from which share on it is worth a word. */
const NEARLY_FULL = 0.9
const versions = { 3: "3.1", 4: "3.1.1", 5: "5.0" }

export function Listeners() {
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

/** Who is connected, a page at a time: whatever is searched and paged, the broker does. */
import { useState } from "preact/hooks"
import { bytes, count, dateAndTime, duration, figure } from "../../format.ts"
import { brokerTime, figures } from "../live.ts"
import { visible } from "../model/payload.ts"
import { Link } from "../parts/client-link.tsx"
import { Disconnect } from "../parts/disconnect.tsx"
import { useFetched, usePages } from "../parts/fetched.ts"
import { Pager } from "../parts/pager.tsx"
import { Problem } from "../parts/problem.tsx"
import { SearchFields } from "../parts/search-fields.tsx"
import { type Column, Table } from "../parts/table.tsx"
import type { Place } from "../route.ts"
import type { Client } from "../types.ts"

const EVERY_MS = 5000

export function ClientsView({ place: { query } }: { place: Place }) {
  const asked = {
    text: query.get("text") ?? "",
    username: query.get("username") ?? "",
    listener: query.get("listener") ?? "",
  }
  const pages = usePages("clients", asked, 50, EVERY_MS)
  const listeners = useFetched("listeners")
  const [chosen, setChosen] = useState<string>()
  const isSearched = Object.values(asked).some((value) => value !== "")
  const doors = (listeners.value ?? []).filter(({ connections }) => connections !== undefined)
  const doorNames = [...new Set([...doors.map(({ id }) => id), asked.listener])].filter((id) => id !== "")
  return (
    <>
      <div class="heading">
        <h1>Clients</h1>
        <p class="muted">
          {isSearched && pages.value !== undefined && `${count(pages.value.total)} found, `}
          {figures.value !== undefined && `${count(figures.value.clients)} connected`}
        </p>
      </div>
      <SearchFields
        fields={[
          { name: "text", label: "Search", hint: "Part of the client id, the user name or the address" },
          { name: "username", label: "User", hint: "All of the name" },
          {
            name: "listener",
            label: "Listener",
            options: { "": "All", ...Object.fromEntries(doorNames.map((id) => [id, visible(id)])) },
          },
        ]}
        values={asked}
      />
      <Problem error={pages.error} />
      {pages.error === undefined && (
        <div class="panel">
          <Table
            caption="Clients that are connected, by client id"
            columns={columnsOf(setChosen)}
            rows={pages.value?.items ?? []}
            keyOf={({ clientId }) => clientId}
            none={isSearched ? "No client is like that." : "Nobody is connected."}
            isBusy={pages.isBusy && pages.value === undefined}
          />
        </div>
      )}
      <Pager {...pages} />
      {chosen !== undefined && (
        <Disconnect
          clientId={chosen}
          onClose={(isDone) => {
            setChosen(undefined)
            if (isDone) pages.reload()
          }}
        />
      )}
    </>
  )
}

function columnsOf(choose: (clientId: string) => void): Column<Client>[] {
  return [
    { title: "Client", cell: (row) => <Link {...row} /> },
    { title: "User", cell: ({ username }) => username !== undefined && visible(username), isExtra: true },
    { title: "Address", cell: ({ remoteAddress }) => <span class="mono">{remoteAddress}</span>, isExtra: true },
    { title: "Listener", cell: ({ listener }) => visible(listener), isExtra: true },
    { title: "MQTT", cell: ({ protocol }) => protocol, isExtra: true },
    { title: "Connected for", cell: sinceOf, isNumber: true, isExtra: true },
    { title: "Subscriptions", cell: ({ subscriptions }) => count(subscriptions), isNumber: true, isExtra: true },
    { title: "In", cell: ({ messagesReceived }) => figure(messagesReceived), isNumber: true },
    { title: "Out", cell: ({ messagesSent }) => figure(messagesSent), isNumber: true },
    { title: "Waiting", cell: waitingOf, isNumber: true, isExtra: true },
    {
      title: "Actions",
      cell: ({ clientId }) => (
        <button
          type="button"
          class="quiet"
          aria-label={`Disconnect ${visible(clientId)}`}
          onClick={() => choose(clientId)}
        >
          Disconnect…
        </button>
      ),
      isNumber: true,
      isExtra: true, // the client's own view has it, too
    },
  ]
}

function sinceOf({ connectedAt }: Client) {
  return <span title={dateAndTime(connectedAt)}>{duration(Math.max(0, brokerTime() - connectedAt) / 1000)}</span>
}

/** Messages of QoS 1 and 2, and bytes that its socket has not taken. */
function waitingOf({ inflightMessages, queuedMessages, backlogBytes }: Client) {
  const messages = inflightMessages + queuedMessages
  if (backlogBytes === 0) return count(messages)
  return (
    <>
      {count(messages)} <span class="muted">+ {bytes(backlogBytes)}</span>
    </>
  )
}

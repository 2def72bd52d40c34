/** What outlives connections: whose sessions there are, what waits in them, and their end. */
import { useState } from "preact/hooks"
import { bytes, count, counted, dateAndTime, duration } from "../../format.ts"
import { remove } from "../api.ts"
import { visible } from "../model/payload.ts"
import { announce } from "../parts/announce.tsx"
import { Link } from "../parts/client-link.tsx"
import { Confirm } from "../parts/confirm.tsx"
import { usePages } from "../parts/fetched.ts"
import { Pager } from "../parts/pager.tsx"
import { Problem } from "../parts/problem.tsx"
import { SearchFields } from "../parts/search-fields.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo, type Place } from "../route.ts"
import type { Session } from "../types.ts"

const EVERY_MS = 5000
const NEVER = 0xffff_ffff
const states = { "": "All", true: "Connected", false: "Away" }

export function SessionsView({ place: { query } }: { place: Place }) {
  const asked = {
    text: query.get("text") ?? "",
    isConnected: query.get("isConnected") ?? "",
    username: query.get("username") ?? "",
  }
  const pages = usePages("sessions", asked, 50, EVERY_MS)
  const [chosen, setChosen] = useState<Session>()
  return (
    <>
      <h1>Sessions</h1>
      <SearchFields
        fields={[
          { name: "text", label: "Search in client ids and users" },
          { name: "username", label: "User, the whole name" },
          { name: "isConnected", label: "Which", options: states },
        ]}
        values={asked}
      />
      <Problem error={pages.error} />
      {pages.value !== undefined && (
        <div class="panel">
          <Table
            caption="Sessions"
            columns={[
              { title: "Client", cell: (row) => <Link {...row} /> },
              {
                title: "User",
                cell: ({ username }) => <span class="short">{visible(username ?? "")}</span>,
                isExtra: true,
              },
              { title: "Queued", cell: queueOf, isNumber: true },
              {
                title: "In flight",
                cell: ({ inflightMessages }) => count(inflightMessages),
                isNumber: true,
                isExtra: true,
              },
              { title: "Subscriptions", cell: subscriptionsOf, isNumber: true, isExtra: true },
              { title: "Ends", cell: (row) => <span class="short">{endOf(row)}</span>, isExtra: true },
              { title: "Will", cell: willOf, isExtra: true },
              {
                title: "Actions",
                cell: (row) => (
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Delete the session of ${row.clientId}`}
                    onClick={() => setChosen(row)}
                  >
                    Delete…
                  </button>
                ),
              },
            ]}
            rows={pages.value.items}
            keyOf={({ clientId }) => clientId}
            none={Object.values(asked).some((text) => text !== "") ? "None is like that." : "There are no sessions."}
            isBusy={pages.isBusy}
          />
        </div>
      )}
      <Pager {...pages} />
      {chosen !== undefined && (
        <DeleteSession
          session={chosen}
          onClose={(isDone) => {
            setChosen(undefined)
            if (isDone) pages.reload()
          }}
        />
      )}
    </>
  )
}

function DeleteSession({ session, onClose }: { session: Session; onClose: (isDone: boolean) => void }) {
  const { clientId, isConnected, queuedMessages, inflightMessages, subscriptions, willTopic } = session
  const waiting = queuedMessages + inflightMessages
  const act = async () => {
    await remove("session", { clientId })
    announce(`Deleted the session of ${visible(clientId)}.`)
  }
  return (
    <Confirm title={`Delete the session of ${visible(clientId)}?`} action="Delete" act={act} onClose={onClose}>
      <ul>
        {isConnected && <li>Its client is disconnected.</li>}
        <li>
          {counted(waiting, "message")} {waiting === 1 ? "waits" : "wait"} for it, and will be gone.
        </li>
        <li>{counted(subscriptions, "subscription")} will be gone.</li>
        {willTopic !== undefined && (
          <li>
            Its will is published to <code>{visible(willTopic)}</code>.
          </li>
        )}
      </ul>
    </Confirm>
  )
}

function queueOf({ queuedMessages, queuedBytes }: Session): string {
  return queuedMessages === 0 ? "0" : `${count(queuedMessages)} (${bytes(queuedBytes)})`
}

function subscriptionsOf({ clientId, subscriptions }: Session) {
  return <a href={linkTo("subscriptions", "", { clientId })}>{count(subscriptions)}</a>
}

function endOf({ isConnected, expiresAt, expirySeconds }: Session): string {
  if (expiresAt !== undefined) return dateAndTime(expiresAt)
  if (!isConnected || expirySeconds === NEVER) return "never"
  return expirySeconds === 0 ? "with its connection" : `after ${duration(expirySeconds)} away`
}

function willOf({ willTopic }: Session): string {
  return willTopic === undefined ? "" : visible(willTopic)
}

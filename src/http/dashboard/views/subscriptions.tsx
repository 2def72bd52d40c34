/** Who is subscribed to what. */
import { visible } from "../model/payload.ts"
import { Link } from "../parts/client-link.tsx"
import { usePages } from "../parts/fetched.ts"
import { Pager } from "../parts/pager.tsx"
import { Problem } from "../parts/problem.tsx"
import { SearchFields } from "../parts/search-fields.tsx"
import { Table } from "../parts/table.tsx"
import type { Place } from "../route.ts"
import type { Subscription } from "../types.ts"

const EVERY_MS = 10_000

export function SubscriptionsView({ place: { query } }: { place: Place }) {
  const asked = {
    clientId: query.get("clientId") ?? "",
    topicFilter: query.get("topicFilter") ?? "",
    topic: query.get("topic") ?? "",
  }
  const pages = usePages("subscriptions", asked, 50, EVERY_MS)
  return (
    <>
      <h1>Subscriptions</h1>
      <SearchFields
        fields={[
          { name: "clientId", label: "Client id, all of it" },
          { name: "topicFilter", label: "This very filter" },
          { name: "topic", label: "Matching a topic" },
        ]}
        values={asked}
      />
      <Problem error={pages.error} />
      {pages.value !== undefined && (
        <div class="panel">
          <Table
            caption="Subscriptions"
            columns={[
              { title: "Topic filter", cell: ({ topicFilter }) => <code>{visible(topicFilter)}</code> },
              { title: "Client", cell: (row) => <Link {...row} /> },
              { title: "QoS", cell: ({ qos }) => qos, isNumber: true },
              { title: "Options", cell: optionsOf, isExtra: true },
            ]}
            rows={pages.value.items}
            keyOf={({ clientId, topicFilter }) => `${clientId}\n${topicFilter}`}
            none={
              Object.values(asked).some((text) => text !== "")
                ? "None is like that."
                : "Nobody is subscribed to anything."
            }
            isBusy={pages.isBusy}
          />
        </div>
      )}
      <Pager {...pages} />
    </>
  )
}

function optionsOf({ noLocal, retainAsPublished, retainHandling, identifier }: Subscription): string {
  const options = [
    noLocal && "no local",
    retainAsPublished && "retain as published",
    retainHandling === 1 && "retained ones if new",
    retainHandling === 2 && "no retained ones",
    identifier !== undefined && `identifier ${identifier}`,
  ]
  return options.filter(Boolean).join(", ")
}

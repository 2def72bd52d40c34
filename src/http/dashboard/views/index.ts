/** Every view: its place in the address behind `#/`, and, where it is in the menu, what it is called there. A view is added by a line. */
import type { FunctionComponent } from "preact"
import type { Place } from "../route.ts"
import { BrokerView } from "./broker.tsx"
import { ClientView } from "./client.tsx"
import { ClientsView } from "./clients.tsx"
import { ExplainView } from "./explain.tsx"
import { LogView } from "./log.tsx"
import { OverviewView } from "./overview.tsx"
import { PublishView } from "./publish.tsx"
import { SessionsView } from "./sessions.tsx"
import { SubscriptionsView } from "./subscriptions.tsx"
import { TopicsView } from "./topics.tsx"

export interface View {
  /** What it is called in the menu and in the title of the page. */
  title: string
  /** It is not in the menu, but found from another view, which is marked there. */
  under?: string
  /** Is given where it is; another `place.of` is another component. */
  component: FunctionComponent<{ place: Place }>
}

/** In the order of the menu; the first is shown where no other is asked for. */
export const views: Record<string, View> = {
  overview: { title: "Overview", component: OverviewView },
  clients: { title: "Clients", component: ClientsView },
  client: { title: "Client", under: "clients", component: ClientView },
  topics: { title: "Topics", component: TopicsView },
  publish: { title: "Publish", component: PublishView },
  subscriptions: { title: "Subscriptions", component: SubscriptionsView },
  sessions: { title: "Sessions", component: SessionsView },
  log: { title: "Log", component: LogView },
  explain: { title: "Explain", component: ExplainView },
  broker: { title: "Broker", component: BrokerView },
}

/** Why somebody does not get a message. */
import * as v from "valibot"
import { findingCodes } from "../../broker/explanation.ts"
import { given } from "./clients.ts"
import { type Route, route } from "./route.ts"
import { count, described, named, text, time } from "./schemas.ts"

const finding = named("Finding", "Something that was looked at.", () =>
  v.strictObject({
    code: described(v.picklist(findingCodes), "What it is"),
    effect: described(
      v.picklist(["stops", "may stop", "passes", "note"]),
      "Because of it no message gets through, or some may not; it is in order; it is to be known, as what has happened is",
    ),
    words: text("The same in a sentence, without a full stop"),
    count: v.optional(count("Of what has happened: how often, as far as it is remembered")),
    firstAt: v.optional(time("When it happened first, or since when it is so, in milliseconds since 1970")),
    lastAt: v.optional(time("When it happened last, in milliseconds since 1970")),
  }),
)

const side = named("ExplanationSide", "What becomes of messages at one end.", () =>
  v.strictObject({
    clientId: v.string(),
    outcome: described(
      v.picklist(["yes", "perhaps", "no"]),
      "Whether they get through now; perhaps: `words` say on what it depends",
    ),
    words: text("The answer in a sentence, without a full stop"),
    findings: described(
      v.array(finding()),
      "What stops comes first, then what may, what is in order, what is to be known, and what has happened",
    ),
  }),
)

const explanation = named("Explanation", "Why messages of a topic get from one client to another, or do not.", () =>
  v.strictObject({ time: time(), topic: v.string(), publish: side(), receive: side() }),
)

export const explainRoutes: Route[] = [
  route({
    method: "GET",
    path: "/api/v1/explain",
    id: "explain",
    summary: "Why a client does not get messages of a topic, or nobody gets its",
    description:
      "What is in the way now, by which rule or limit, and what has been refused, dropped or has expired before. Auths are asked for it, so it may take as long as they take.",
    query: () =>
      v.strictObject({
        clientId: text("Who does not get it; and who publishes it, unless `from` says otherwise"),
        topic: text("A topic name as the broker calls it: with the mount point of the listener, if it has one"),
        from: v.optional(text("Who publishes it")),
      }),
    result: explanation,
    handle: ({ query }, { broker }) => broker.admin.explain(given(query)),
  }),
]

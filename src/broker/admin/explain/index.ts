import type { Core } from "../../core.ts"
import { ManjuError } from "../../errors.ts"
import type { ExplainQuery, Explanation } from "../../explanation.ts"
import { explainPublish } from "./publish.ts"
import { explainReceive } from "./receive.ts"

/** Asks everything that a message would meet on its way. Throws `INVALID_TOPIC` for what is no topic name. */
export async function explain(core: Core, { clientId, topic: name, from }: ExplainQuery): Promise<Explanation> {
  const topic = core.router.topics.named(name)
  if (topic === undefined) throw new ManjuError("INVALID_TOPIC", `not a topic name: ${JSON.stringify(name)}`)
  const publish = await explainPublish(core, from ?? clientId, topic)
  const receive = await explainReceive(core, clientId, topic, from)
  return { time: Math.round(core.now()), topic: name, publish, receive }
}

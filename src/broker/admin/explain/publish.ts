/** What becomes of a message that a client publishes. */
import type { Topic } from "../../../router/index.ts"
import type { Core } from "../../core.ts"
import type { ExplanationSide } from "../../explanation.ts"
import type { Peer } from "../../peer.ts"
import { slicesOf } from "../page.ts"
import { addClient, addPermission } from "./client.ts"
import { counted, Findings, FirstNames, some } from "./findings.ts"
import { addHistory } from "./history.ts"

/** Said one by one, where there are no more. */
const MOST_GROUPS = 6

export async function explainPublish(core: Core, clientId: string, topic: Topic): Promise<ExplanationSide> {
  const findings = new Findings(clientId)
  const peer = core.clients.get(clientId)
  // Of one that has come only to publish, what happened then says more than that it has gone.
  if (peer === undefined) addHistory(findings, core, clientId, topic.name, "publish", { latest: "may stop" })
  addClient(findings, core, clientId, { away: "may stop", gone: "may stop" })
  if (peer !== undefined) await addWay(findings, core, peer, topic)
  if (topic.isSys) {
    findings.add("stops", "reserved topic", "what is below $SYS is the broker's own: clients cannot publish there")
  } else await addSubscribers(findings, core, clientId, topic)
  if (peer !== undefined) addHistory(findings, core, clientId, topic.name, "publish")
  const { name } = topic
  return findings.side({
    yes: `can publish to ${name}`,
    perhaps: `may be able to publish to ${name}, or may not`,
    no: `cannot get a message of ${name} to anybody`,
  })
}

/** What a message meets between the client and the router. */
async function addWay(findings: Findings, core: Core, peer: Peer, topic: Topic): Promise<void> {
  const { name } = topic
  const { mountPoint, maximumQoS, retainAvailable } = peer.serving.limits
  const { changes, hooks, limits, retained } = core
  if (mountPoint !== "") {
    const isBelow = name.startsWith(mountPoint) && name !== mountPoint
    const words = `its topics are all below ${mountPoint}, the mount point of its listener`
    if (isBelow) findings.add("note", "mount point", `${words}: it calls this one ${name.slice(mountPoint.length)}`)
    else if (!topic.isSys)
      findings.add("stops", "mount point", `${words}: what it calls ${name} is ${mountPoint}${name}`)
  }
  if (maximumQoS < 2) {
    findings.add(
      "note",
      "listener limits",
      `its listener takes QoS ${maximumQoS} at most, and ends its connection for more`,
    )
  }
  if (!retainAvailable) {
    findings.add("note", "listener limits", "its listener takes no retained messages, and ends its connection for one")
  }
  await addPermission(findings, peer, "publish", name)
  const { maximumPublishRate, maximumRetainedMessages } = limits
  if (maximumPublishRate > 0) {
    findings.add(
      "note",
      "publish rate",
      `it may publish ${counted(maximumPublishRate, "message")} a second; what is above that waits`,
    )
  }
  if (peer.isBusy) {
    findings.add(
      "may stop",
      "waiting",
      "the broker waits with what it sends: it published faster than it may, or somebody decides on a packet of its",
    )
  }
  if (hooks.message !== undefined) {
    findings.add("may stop", "hooks", "hooks of the service decide on every message that it publishes")
  }
  if (changes.isFailing) findings.add("may stop", "store", "the store fails: what has to be stored is not taken")
  else if (changes.isFull) findings.add("may stop", "store", "the store is behind: what has to be stored waits")
  if (!retained.hasRoom(name)) {
    const words = `there are ${counted(maximumRetainedMessages, "retained message")} already, as many as may be: one more is not kept`
    findings.add("may stop", "retained limit", words)
  }
}

/** A topic may have a hundred thousand subscribers, and nobody waits for all of them. */
async function addSubscribers(findings: Findings, core: Core, clientId: string, topic: Topic): Promise<void> {
  const { targets, groups } = core.router.route(topic)
  const receivers = new FirstNames()
  let away = 0
  for await (const slice of slicesOf(targets)) {
    for (const { subscriber, own } of slice) {
      if (subscriber.clientId === clientId && own === undefined) continue
      receivers.add(subscriber.clientId)
      if (subscriber.outlet === undefined) away++
    }
  }
  const { names, total } = receivers
  if (total === 0 && groups.length === 0) {
    const own =
      targets.length > 0 ? "its own subscription, which wants nothing of its own (No Local)," : "no subscription"
    findings.add("stops", "no subscriber", `${own} matches ${topic.name}${targets.length > 0 ? " alone" : ""}`)
    return
  }
  const parts = [
    ...(total === 0 ? [] : [some(names, undefined, undefined, total)]),
    ...groups.slice(0, MOST_GROUPS).map(({ text, size }) => `one of ${size} of ${text}`),
  ]
  const all = some(parts, undefined, undefined, parts.length + Math.max(0, groups.length - MOST_GROUPS))
  const absent = away === 0 ? "" : `, of whom ${away === 1 ? "1 is" : `${away} are`} not connected`
  findings.add("passes", "subscribers", `it goes to ${all}${absent}`)
}

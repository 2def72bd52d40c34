/** Who a client is, and what its auth says. */
import { describeReason, Reason } from "../../../codec/index.ts"
import type { Core } from "../../core.ts"
import type { FindingEffect } from "../../explanation.ts"
import type { Peer } from "../../peer.ts"
import type { Action, Permission } from "../../ports.ts"
import { counted, type Findings } from "./findings.ts"

const versions = { 3: "3.1", 4: "3.1.1", 5: "5.0" } as const

/** Whether it is there. `away`, `gone`: what it means if it is not, and if there is no session of it either. */
export function addClient(
  findings: Findings,
  core: Core,
  clientId: string,
  { away, gone }: Readonly<Record<"away" | "gone", FindingEffect>>,
): void {
  const peer = core.clients.get(clientId)
  const session = core.sessions.get(clientId)
  if (peer !== undefined) {
    const { username, remoteAddress, listener, protocolLevel, connectedAt } = peer.view
    const user = username === undefined ? "without a user name" : `as user ${username}`
    const words = `it is connected ${user} from ${remoteAddress} through ${listener}, MQTT ${versions[protocolLevel]}`
    findings.add("passes", "connected", words, { firstAt: Math.round(connectedAt) })
  } else if (session === undefined) {
    findings.add(gone, "no session", "it is not connected, and there is no session of it")
  } else {
    const waiting = session.queuedCount + session.inflightCount
    const waits =
      waiting === 0
        ? "its session waits for it"
        : `${counted(waiting, "message")} ${waiting === 1 ? "waits" : "wait"} in its session`
    const { disconnectedAt } = session
    const when = disconnectedAt === undefined ? {} : { lastAt: Math.round(disconnectedAt) }
    findings.add(away, "not connected", `it is not connected; ${waits}`, when)
  }
}

/** What its auth says, and by which rule. */
export async function addPermission(findings: Findings, peer: Peer, action: Action, topic: string): Promise<boolean> {
  const deed =
    action === "subscribe" ? `subscribe to ${topic}` : action === "publish" ? "publish there" : "receive that"
  const { authority, permissions, client } = peer
  if (permissions === undefined || authority === undefined || client === undefined) {
    findings.add("passes", "permission", `it may ${deed}: its auth restricts nobody`)
    return true
  }
  let permission: Permission
  let words: string | undefined
  try {
    permission = await permissions.ask(action, topic)
    words = await authority.explain?.(client, action, topic)
  } catch (error) {
    findings.add(
      "stops",
      "permission",
      `its auth has failed, which is a refusal: ${error instanceof Error ? error.message : error}`,
    )
    return false
  }
  const isAllowed = permission === true || permission === Reason.Success
  const reason = typeof permission === "number" && !isAllowed ? ` with ${describeReason(permission)}` : ""
  const because = words ?? `the auth of ${peer.serving.id} ${isAllowed ? "allows it" : "refuses it"}${reason}`
  findings.add(isAllowed ? "passes" : "stops", "permission", `it may ${isAllowed ? "" : "not "}${deed}: ${because}`)
  return isAllowed
}

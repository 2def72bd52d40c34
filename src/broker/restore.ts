/**
 * Taking in what the last run left: sessions with all that belongs to them, retained messages, queues of share groups.
 *
 * Of what waits in a session's queue only the number is read, so that a start does not depend on it; the sessions read it
 * when their clients come. Whoever was connected when the broker stopped has been disconnected since now.
 */
import { Session } from "../session/index.ts"
import type { Core } from "./core.ts"
import type { Store } from "./ports.ts"
import type { StoredDelivery, StoredQueue, StoredSession } from "./stored.ts"

export async function restore(core: Core, store: Store): Promise<void> {
  const sessions = new Map<string, StoredSession>()
  const groups: StoredQueue[] = []
  for await (const item of store.load()) {
    switch (item.kind) {
      case "session": {
        const { clientId, username, expirySeconds } = item.session
        sessions.set(clientId, item.session)
        const session = new Session(clientId, expirySeconds, core, false)
        session.username = username
        core.sessions.add(session)
        break
      }
      case "subscribed": {
        const { clientId, topicFilter, identifier, ...options } = item.subscription
        const session = core.sessions.get(clientId)
        const filter = core.parseFilter(topicFilter)
        if (session !== undefined && filter !== undefined) core.resubscribe(session, filter, options, identifier)
        break
      }
      case "received":
        core.sessions.get(item.clientId)?.receivedIds.add(item.packetId)
        break
      case "inflight":
        restoreInflight(core, item.delivery)
        break
      case "queue":
        if (item.queue.owner.startsWith("$share/")) groups.push(item.queue)
        else restoreQueue(core, item.queue)
        break
      case "retained":
        core.retained.restore(core.storing.message(item.message))
        break
      case "total":
        core.metrics.restore(item.name, item.value)
        break
      case "lastMessageId":
        core.storing.lastMessageId = item.id
        break
    }
  }
  for (const { owner } of groups) await core.sharing.restore(owner)
  for (const { clientId, disconnectedAt, will } of sessions.values()) {
    const session = core.sessions.get(clientId)!
    if (will !== undefined) session.will = core.storing.will(will)
    core.sessions.restore(session, disconnectedAt)
  }
}

function restoreInflight(core: Core, stored: StoredDelivery): void {
  const group = stored.group === undefined ? undefined : core.sharing.queue(stored.group)
  core.sessions.get(stored.owner)?.restoreInflight(core.storing.delivery(stored, group))
}

function restoreQueue(core: Core, { owner, count, bytes, lastSequence }: StoredQueue): void {
  core.sessions.get(owner)?.restoreQueue(count, bytes, lastSequence)
}

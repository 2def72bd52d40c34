/**
 * A session that is taken up again. Where an authority decides on topics, each of its subscriptions is asked for anew, before
 * anything that has waited goes out: the client may not be allowed any more what it was when it subscribed. Those that are forbidden end,
 * and the client is told so (0x87); it may come back at once.
 *
 * What waits of a subscription that has ended so is dropped when the rest goes out: the authority may well have no opinion on what
 * is received. For that it need not be known which that was, not even over a restart: what goes out is what a subscription matches that
 * there is. Messages of a filter that the client itself has given up go the same way, which [MQTT-3.10.4-3] leaves open.
 */
import type { Core } from "../broker/core.ts"
import { isPromise } from "../broker/decide.ts"
import { Reason } from "../codec/index.ts"
import type { Topic } from "../router/index.ts"
import type { Session } from "../session/index.ts"
import type { Link } from "./link.ts"
import { isPermitted } from "./permissions.ts"
import { ask, inTurn } from "./subscribe.ts"

/** So many topics are known at a time to be wanted or not. */
const MOST_KNOWN = 1000

/** Lets what waits in the client's session go out, if its subscriptions are still allowed. */
export function resume(link: Link): void | Promise<void> {
  const { core } = link
  const session = link.session!
  if (link.permissions === undefined) return session.resume()
  const subscriptions = [...session.subscriptions.values()]
  return inTurn(
    link,
    subscriptions,
    ({ filter }) => {
      const permission = ask(link, filter)
      return isPromise(permission) ? Promise.resolve(permission).catch((error) => link.authFailed(error)) : permission
    },
    (answers) => {
      const forbidden = subscriptions.filter((_, index) => !isPermitted(answers[index]))
      if (forbidden.length === 0) return session.resume(wanted(core, session))
      for (const { filter } of forbidden) core.unsubscribe(session, filter.text)
      return link.disconnect(Reason.NotAuthorized, "a subscription is not allowed any more")
    },
  )
}

/** Whether a subscription of the session matches a topic. */
function wanted({ router }: Core, session: Session): (topic: Topic) => boolean {
  const known = new Map<string, boolean>()
  return (topic) => {
    let isWanted = known.get(topic.name)
    if (isWanted === undefined) {
      const { targets, groups } = router.route(topic)
      isWanted =
        targets.some(({ subscriber }) => subscriber === session) ||
        groups.some(({ members }) => members.some(({ subscriber }) => subscriber === session))
      if (known.size === MOST_KNOWN) known.clear()
      known.set(topic.name, isWanted)
    }
    return isWanted
  }
}

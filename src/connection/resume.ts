/**
 * A session that is taken up again. Where an authority decides on topics, each of its subscriptions is asked for anew, before
 * anything that has waited goes out: the client may not be allowed any more what it was when it subscribed. Those that are forbidden end,
 * and the client is told so (0x87); it may come back at once.
 *
 * What waits of a subscription that has ended so is dropped when the rest goes out: the authority may well have no opinion on what
 * is received. For that it need not be known which that was, not even over a restart: of what waits that goes out which a subscription
 * matches that there is. Messages of a filter that the client itself has given up go the same way; MQTT 5 §3.10.4 leaves that open.
 */
import { isPromise } from "../broker/decide.ts"
import { Reason } from "../codec/index.ts"
import { forbid, wanted } from "./forbid.ts"
import type { Link } from "./link.ts"
import { isPermitted } from "./permissions.ts"
import { ask, inTurn } from "./subscribe.ts"

/** Lets what waits in the client's session go out, if its subscriptions are still allowed. */
export function resume(link: Link): void | Promise<void> {
  return link.permissions === undefined ? link.session!.resume() : resumeIfAllowed(link)
}

function resumeIfAllowed(link: Link): void | Promise<void> {
  const { core } = link
  const session = link.session!
  const filters = Array.from(session.subscriptions.values(), ({ filter }) => filter)
  return inTurn(
    link,
    filters,
    (filter) => {
      const permission = ask(link, filter)
      return isPromise(permission) ? Promise.resolve(permission).catch((error) => link.authFailed(error)) : permission
    },
    (answers) => {
      const forbidden = filters.filter((_, index) => !isPermitted(answers[index]))
      if (forbid(core, session, forbidden) === 0) return session.resume(wanted(core, session))
      return link.disconnect(Reason.NotAuthorized, "a subscription is not allowed any more")
    },
  )
}

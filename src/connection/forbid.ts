/** Ending subscriptions that a client may not have any more, and with them what was on its way: it is not to come in the end after all. */
import type { Core } from "../broker/core.ts"
import { matches, type Topic, type TopicFilter } from "../router/index.ts"
import type { Session } from "../session/index.ts"

/** So many topics are known at a time to be wanted or not. */
const MOST_KNOWN = 1000

/** Ends subscriptions of a session that is connected; how many there were. */
export function forbid(core: Core, session: Session, filters: readonly TopicFilter[]): number {
  const ended = filters.filter(({ text }) => core.unsubscribe(session, text))
  if (ended.length === 0) return 0
  const isWanted = wanted(core, session)
  session.restrict(({ message, group }) => {
    if (group !== undefined) return ended.some(({ text }) => text === group.owner)
    const { topic } = message!
    return ended.some(({ pattern }) => matches(pattern, topic.name)) && !isWanted(topic)
  }, isWanted)
  return ended.length
}

/** Whether a subscription that the session has matches a topic. */
export function wanted({ router }: Core, session: Session): (topic: Topic) => boolean {
  const known = new Map<string, boolean>()
  return (topic) => {
    let isWanted = known.get(topic.name)
    if (isWanted === undefined) {
      isWanted = router.reaches(topic, session)
      if (known.size === MOST_KNOWN) known.clear()
      known.set(topic.name, isWanted)
    }
    return isWanted
  }
}

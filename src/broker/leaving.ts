/**
 * Taking a session that has ended out of the router: it may have a hundred thousand subscriptions, and nobody waits for all of them. It is
 * over before that is done, and what still comes for it goes nowhere.
 */
import type { Subscription } from "../router/index.ts"
import type { Session } from "../session/index.ts"
import { slicesOf } from "./admin/page.ts"

/** A millisecond or two. */
const MOST_AT_ONCE = 1000

/** What takes one of them out, and whom a fault of that is told. */
export interface Leaving {
  leave(subscription: Subscription<Session>): void
  onBug(error: unknown): void
}

export function leaveAll({ subscriptions }: Session, leaving: Leaving): void {
  if (subscriptions.size > MOST_AT_ONCE) {
    leaveInSlices(subscriptions, leaving).catch((error) => leaving.onBug(error))
    return
  }
  for (const subscription of subscriptions.values()) leaving.leave(subscription)
  subscriptions.clear()
}

async function leaveInSlices(subscriptions: Session["subscriptions"], leaving: Leaving): Promise<void> {
  for await (const slice of slicesOf(subscriptions.values())) {
    for (const subscription of slice) leaving.leave(subscription)
  }
  subscriptions.clear()
}

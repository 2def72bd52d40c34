/** A listener whose auth is made of parts that a test gives, open, and with other decisions when the test says so. */
import type { Action, Auth, Decision, Exchange, ExchangeStep, Permission } from "../../src/broker/ports.ts"
import type { Harness, TestClient } from "./harness.ts"
import { microtasks } from "./store.ts"

export interface Door {
  readonly auth: Auth
  readonly listener: ReturnType<Harness["listener"]>
  /** The auth says that its decisions may be others now, and what that causes without further waiting has happened. */
  change(): Promise<void>
}

/** It lets everybody in, unless the parts say otherwise. */
export function openDoor(
  harness: Harness,
  parts: Partial<Auth>,
  limits: Parameters<Harness["listener"]>[0] = {},
): Door {
  let changed: (() => void) | undefined
  const auth: Auth = {
    authenticate: () => true,
    ...parts,
    open(context) {
      changed = context.changed
    },
  }
  void harness.core.auths.open(auth)
  const change = () => {
    changed!()
    return microtasks()
  }
  return { auth, listener: harness.listener(limits, auth), change }
}

/** An answer on a topic, at once or late. */
export type Answer = Permission | Promise<Permission>

/** An authority that notes what it is asked, as `action topic`, and answers what `decide` says. */
export function noting(decide: (topic: string, action: Action) => Answer, isCacheable = true) {
  const asked: string[] = []
  const authority = {
    isCacheable,
    authorize(_: unknown, action: Action, topic: string) {
      asked.push(`${action} ${topic}`)
      return decide(topic, action)
    },
  }
  /** What has been asked since the last time. */
  const take = () => asked.splice(0)
  return { authority, take }
}

/** Both ways in which an answer may come. */
export const ways: [name: string, give: <A>(answer: A) => A | Promise<A>][] = [
  ["at once", (answer) => answer],
  ["late", async (answer) => answer],
]

const authenticationMethod = "M"

/** What the CONNECT of a client says that comes in by an exchange. */
export const withMethod = { properties: { authenticationMethod } }

/** An auth that decides so, on a CONNECT and in every step of an exchange. */
export function deciding(decide: () => Decision | Promise<Decision>): Partial<Auth> {
  const next = decide as () => ExchangeStep | Promise<ExchangeStep>
  return { authenticate: decide, exchange: (): Exchange => ({ next }) }
}

/** Begins to authenticate again (0x19), or goes on with it (0x18). */
export function sendAuth(client: TestClient, reasonCode: 0x18 | 0x19): Promise<void> {
  client.send({ cmd: "auth", reasonCode, properties: { authenticationMethod } })
  return microtasks()
}

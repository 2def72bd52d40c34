/** `manju sub` and `manju pub` as processes, in front of a broker of the test. */
import type { Broker } from "../../src/broker/broker.ts"
import type { Core } from "../../src/broker/core.ts"
import { eventually } from "../listeners/socket.ts"
import { manjuCommand } from "./command.ts"
import { LineProcess } from "./line-process.ts"

export interface Served {
  readonly broker: Broker
  readonly core: Core
  readonly port: number
}

/** Where the broker is, as both take it. */
export const at = ({ port }: { port: number }) => ["-h", "127.0.0.1", "-p", String(port)]

/** Starts `manju sub`, and waits until it has subscribed. Killed with `await using`. */
export async function subscribing(served: Served, ...args: string[]): Promise<LineProcess> {
  const filters = args.filter((arg) => arg === "-t").length
  const { core } = served
  const before = core.router.subscriptionCount
  const subscriber = new LineProcess(manjuCommand("sub", ...at(served), ...args))
  await eventually(() => core.router.subscriptionCount === before + filters, "the subscriptions")
  return subscriber
}

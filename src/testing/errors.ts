import { describeReason, type Properties, type Reason } from "../codec/index.ts"

/**
 * The broker has not let a client in.
 *
 * @example
 * await expect(broker.connect({ username: "nobody" })).rejects.toMatchObject({ reason: Reason.NotAuthorized })
 */
export class RefusedError extends Error {
  /** What CONNACK says, a 3.x return code as the reason that it stands for; undefined: the connection has ended without one. */
  readonly reason: Reason | undefined
  /** What CONNACK says beside that: `reasonString`, `serverReference`. */
  readonly properties: Properties

  constructor(reason: Reason | undefined, properties: Properties = {}) {
    super(`refused${explain(reason, properties)}`)
    this.name = "RefusedError"
    this.reason = reason
    this.properties = properties
  }
}

/**
 * A test client's connection has ended before an answer has come, or before something could be sent.
 *
 * @example
 * await client.drop()
 * await expect(client.nextMessage()).rejects.toBeInstanceOf(DisconnectedError)
 */
export class DisconnectedError extends Error {
  /** What the DISCONNECT has said; undefined: there was none. */
  readonly reason: Reason | undefined

  constructor(reason: Reason | undefined, properties: Properties = {}) {
    super(`disconnected${explain(reason, properties)}`)
    this.name = "DisconnectedError"
    this.reason = reason
  }
}

function explain(reason: Reason | undefined, { reasonString }: Properties): string {
  return [reason === undefined ? "" : `: ${describeReason(reason)}`, reasonString && `: ${reasonString}`].join("")
}

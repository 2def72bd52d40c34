/** What an auth has answered: whether it is a refusal, and whose fault that is. */
import { type Decision, isAllowing, type Refusal } from "../broker/ports.ts"
import { Reason } from "../codec/index.ts"

/** The auth itself has failed: a refusal, for which nobody can be blamed. */
export const brokenAuth: Refusal = { reason: Reason.NotAuthorized }

/** Whether a refusal says something against the client, or only that it cannot be served here and now. */
export function isOffence(refusal: Refusal): boolean {
  switch (refusal.reason) {
    case Reason.ServerUnavailable:
    case Reason.ServerBusy:
    case Reason.UseAnotherServer:
    case Reason.ServerMoved:
    case Reason.QuotaExceeded:
    case Reason.ImplementationSpecificError:
      return false
    default:
      return refusal !== brokenAuth
  }
}

/** Why a client is not let in; a user whom nobody knows and a wrong password look the same, and so does a plain no. */
export function refusalOf(decision: Decision, username: string | undefined): Refusal | undefined {
  if (isAllowing(decision)) return undefined
  if (typeof decision === "object" && decision !== null) {
    if ("authenticated" in decision && decision.authenticated === true) return brokenAuth
    if ("reason" in decision && decision.reason !== Reason.Success) return decision
  }
  return { reason: username === undefined ? Reason.NotAuthorized : Reason.BadUserNameOrPassword }
}

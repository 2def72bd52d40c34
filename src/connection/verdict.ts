/** What an auth has answered: an admission, a refusal, and whose fault that is. */
import type { Admission, Decision, ExchangeStep, Refusal } from "../broker/ports.ts"
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
      return false
    default:
      return refusal !== brokenAuth
  }
}

export function isAdmission<A extends ExchangeStep>(answer: A): answer is A & Admission {
  return typeof answer === "object" && "authenticated" in answer && answer.authenticated === true
}

/** Why a client is not let in; a user whom nobody knows and a wrong password look the same. */
export function refusalOf(decision: Decision, username: string | undefined): Refusal | undefined {
  if (decision === true || isAdmission(decision)) return undefined
  if (typeof decision === "object" && "reason" in decision) {
    return decision.reason === Reason.Success ? undefined : decision
  }
  const isUnknown = decision === undefined && username !== undefined
  return { reason: isUnknown ? Reason.BadUserNameOrPassword : Reason.NotAuthorized }
}

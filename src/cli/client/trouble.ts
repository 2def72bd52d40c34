/** Why there is no connection, or none any more: one line for people. */
import { Reason, reasonText } from "../../codec/index.ts"
import { CommandFailure } from "../failure.ts"
import { printable } from "../printable.ts"
import { describePlace, isTls, type Place } from "./place.ts"

/** What a CONNACK of MQTT 3.1 and 3.1.1 says, in the words of 5.0. */
const returnCodes: Record<number, Reason> = {
  1: Reason.UnsupportedProtocolVersion,
  2: Reason.ClientIdentifierNotValid,
  3: Reason.ServerUnavailable,
  4: Reason.BadUserNameOrPassword,
  5: Reason.NotAuthorized,
}

/** Reasons that pass by themselves: to come again is no mistake. */
const passing = new Set<number>([
  ...[Reason.UnspecifiedError, Reason.ImplementationSpecificError, Reason.ServerUnavailable, Reason.ServerBusy],
  ...[Reason.ServerShuttingDown, Reason.KeepAliveTimeout, Reason.MessageRateTooHigh, Reason.QuotaExceeded],
  ...[Reason.AdministrativeAction, Reason.ConnectionRateExceeded, Reason.MaximumConnectTime],
])

/** By the code of an error. */
export const inWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no host of that name",
  EAI_AGAIN: "the name cannot be looked up now",
  EHOSTUNREACH: "there is no way to that host",
  ENETUNREACH: "there is no way to that network",
  ETIMEDOUT: "nobody answers",
  ENOENT: "there is no such socket",
  EACCES: "no permission",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "nobody we believe has signed its certificate; --cafile names an authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "nobody we believe has signed its certificate; --cafile names an authority",
  SELF_SIGNED_CERT_IN_CHAIN: "nobody we believe has signed its certificate; --cafile names an authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "it has signed its certificate itself; --cafile takes it as an authority",
  ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED: "it wants a certificate; --cert and --key show one",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "it does not know who has signed our certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "our certificate has expired",
}

/** What a CONNACK or the code of MQTT.js's error stands for. */
export function refusalReason(code: number): number {
  return returnCodes[code] ?? code
}

export function isPassing(code: number): boolean {
  return passing.has(refusalReason(code))
}

/** `not authorized`, with what the broker has said of it, if that is more. */
export function because(code: number, reasonString?: string): string {
  const text = reasonText(refusalReason(code))
  return reasonString === undefined || reasonString === text ? text : `${text} (${printable(reasonString)})`
}

/** For an error before the broker has answered; undefined: the connection has ended without one. */
export function connectFailure(place: Place, error: NodeJS.ErrnoException | undefined): CommandFailure {
  const where = describePlace(place)
  const alert = /^error:.*:(\w+)$/.exec(error?.message ?? "")?.[1]
  const code = alert === undefined ? (error?.code ?? "") : `ERR_SSL_${alert}` // over WebSocket its code is EPROTO
  if (Object.hasOwn(inWords, code))
    return new CommandFailure(`cannot connect to ${where}: ${inWords[code]}`, { cause: error })
  if (error !== undefined && code === "" && error.message === "connack timeout") {
    return new CommandFailure(`${where} does not answer`, { cause: error })
  }
  const hasEnded = error === undefined || ["ECONNRESET", "EPIPE", "ERR_SOCKET_CLOSED", ""].includes(code)
  if (!hasEnded) return new CommandFailure(`cannot connect to ${where}: ${printable(error.message)}`, { cause: error })
  const question = isTls(place) ? "does it speak TLS, and want another certificate?" : "does it want TLS?"
  const other =
    place.scheme === "ws" ? "is it MQTT over WebSocket?" : place.scheme === "unix" ? "is it MQTT?" : question
  return new CommandFailure(`${where} ended the connection without an answer: ${other}`, { cause: error })
}

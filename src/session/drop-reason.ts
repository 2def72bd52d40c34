/** Why a message did not reach somebody who should have got it. Each is counted. */
export type DropReason =
  | "queue full"
  | "queue memory full"
  | "backlog full"
  | "packet too large"
  | "message expired"
  | "not authorized"
  | "outside mount point"
  | "retained limit"
  | "store failing"
  | "refused by hook"

/** What commands that ask a running broker share on the command line: where its admin API is, and what it wants to see. */
import { type Command, Option } from "commander"
import { ADMIN_URL_VARIABLE } from "../config/environment.ts"

/** Where it is on the machine of a broker that was told nothing else. */
export const STANDARD_URL = "http://127.0.0.1:8080"

/** What commander gives. */
export interface AdminFlags {
  url?: string
  token?: string
  tokenFile?: string
  cafile?: string
}

/** Puts them on a command; `AdminClient.from` takes what has been given. */
export function addAdminOptions(command: Command): void {
  const options = [
    new Option("--url <url>", `the broker's HTTP listener (default: $${ADMIN_URL_VARIABLE}, or ${STANDARD_URL})`),
    new Option("--token <token>", "its token, for everybody to see in the list of processes"),
    new Option(
      "--token-file <file>",
      "its token, in a file (default: $MANJU_ADMIN_TOKEN, or $MANJU_ADMIN_PASSWORD of $MANJU_ADMIN_USER)",
    ).conflicts("token"),
    new Option("--cafile <file>", "who has signed its certificate, PEM"),
  ]
  for (const option of options) command.addOption(option.helpGroup("Where:"))
}

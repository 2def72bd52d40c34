/** Why a socket could not be opened, in the operator's words. */
export function whyNoListener(error: unknown): string {
  const code = (error as { code?: string }).code
  if (code === "EADDRINUSE") return "the port is in use"
  if (code === "EACCES") return "the port needs privileges"
  if (code === "EADDRNOTAVAIL") return "this machine does not have the address"
  return error instanceof Error ? error.message : String(error)
}

/** Who may come in, and what for: auths as the configuration has them. */
import { acl } from "../auth/acl.ts"
import { allowAll, allowAnonymous } from "../auth/allow.ts"
import { all, any } from "../auth/compose.ts"
import { passwords } from "../auth/passwords.ts"
import type { Auth } from "../broker/ports.ts"
import type { Path } from "../config/keys.ts"
import type { AuthConfig } from "../config/schema.ts"

/** An auth, and the key that it comes from. */
export interface AuthPart {
  readonly path: Path
  readonly auth: Auth
}

/** What an auth is made of: who proves who they are to whom, and the rules. */
export interface AuthParts {
  readonly proofs: readonly AuthPart[]
  readonly rules: AuthPart | undefined
  /** All of it, for a listener. */
  readonly auth: Auth
}

/** `path`: of the table in the configuration. `refuse` is told of a key whose options make no sense, and why; that is then left out. */
export async function authOf(
  config: AuthConfig,
  path: Path,
  refuse: (path: Path, why: string) => void,
): Promise<AuthParts> {
  const { passwords: file, verificationsAtOnce, acl: rulesFile, jwt, http, allowAnonymous: letsStrangersIn } = config
  const proofs: AuthPart[] = []
  const add = async (name: string, make: () => Auth | Promise<Auth>) => {
    try {
      proofs.push({ path: [...path, name], auth: await make() })
    } catch (error) {
      refuse([...path, name], (error as Error).message)
    }
  }
  // Those that few use are loaded for them alone.
  if (jwt !== undefined) await add("jwt", async () => (await import("../auth/jwt.ts")).jwt(jwt))
  if (file !== undefined) await add("passwords", () => passwords(file, { verificationsAtOnce }))
  if (http !== undefined) await add("http", async () => (await import("../auth/http.ts")).http(http))
  const rules = rulesFile === undefined ? undefined : { path: [...path, "acl"], auth: acl(rulesFile) }
  // Rules go by names: where nothing proves them a stranger has none, or could have any.
  const strangers = letsStrangersIn && (proofs.length > 0 || rules !== undefined) ? allowAnonymous() : allowAll()
  const members = proofs.map(({ auth }) => auth)
  if (letsStrangersIn || members.length === 0) members.push(strangers)
  const one = members.length === 1 ? members[0]! : any(...members)
  return { proofs, rules, auth: rules === undefined ? one : all(one, rules.auth) }
}

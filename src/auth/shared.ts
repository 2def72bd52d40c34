/**
 * Auths that are members of several compositions: `all(users, rules)` on one listener and `all(tokens, rules)` on another.
 * Each is opened for the first of them and closed after the last, and all of them are told when its decisions are others.
 */
import type { Auth, AuthContext } from "../broker/ports.ts"

interface Sharing {
  readonly opening: Promise<void>
  /** One for each composition that has opened it. */
  readonly contexts: AuthContext[]
}

const sharings = new WeakMap<Auth, Sharing>()

/** Opens an auth, unless another composition has. Rejects with what opening it throws. */
export async function openShared(auth: Auth, context: AuthContext): Promise<void> {
  let sharing = sharings.get(auth)
  if (sharing === undefined) sharings.set(auth, (sharing = begin(auth, context)))
  sharing.contexts.push(context)
  try {
    await sharing.opening
  } catch (error) {
    if (sharings.get(auth) === sharing) sharings.delete(auth)
    throw error
  }
}

/** Closes an auth that `openShared` has opened with that context, if no other composition has it. */
export function closeShared(auth: Auth, context: AuthContext): void {
  const sharing = sharings.get(auth)
  const at = sharing?.contexts.indexOf(context) ?? -1
  if (at < 0) return
  sharing!.contexts.splice(at, 1)
  if (sharing!.contexts.length > 0) return
  sharings.delete(auth)
  auth.close?.()
}

function begin(auth: Auth, context: AuthContext): Sharing {
  const contexts: AuthContext[] = []
  const shared: AuthContext = {
    logger: context.logger,
    clock: context.clock,
    watch: (path, changed) => context.watch(path, changed),
    changed: () => {
      for (const each of new Set(contexts)) each.changed()
    },
  }
  const open = async () => auth.open?.(shared)
  return { opening: open(), contexts }
}

import { useCallback, useEffect, useState } from "preact/hooks"
import { get, type Query } from "../api.ts"
import type { Answers, Page } from "../types.ts"

export interface Fetched<Value> {
  /** Undefined: not yet, or not at all. The one before stays until the next is there. */
  value: Value | undefined
  error: unknown
  isBusy: boolean
  /** Asks again. */
  reload: () => void
}

/**
 * What the API gives: asked when the component comes, when what is asked changes, on `reload` and, with `everyMs`, again and again while
 * the tab is seen. `path` undefined: nothing is asked.
 *
 * @example
 * const { value, error, reload } = useFetched("client", { clientId })
 */
export function useFetched<Path extends keyof Answers>(
  path: Path | undefined,
  query: Query = {},
  everyMs?: number,
): Fetched<Answers[Path]> {
  const [shown, setShown] = useState<{ value?: Answers[Path]; error?: unknown; isBusy: boolean }>({ isBusy: true })
  const [round, setRound] = useState(0)
  const key = JSON.stringify(query)
  useEffect(() => {
    if (path === undefined) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async () => {
      setShown((before) => ({ ...before, isBusy: true }))
      const next = await get(path, JSON.parse(key), stop.signal).then(
        (value) => ({ value, isBusy: false }),
        (error: unknown) => ({ error, isBusy: false }),
      )
      if (stop.signal.aborted) return
      setShown(next)
      if (everyMs !== undefined) timer = setTimeout(askIfSeen, everyMs)
    }
    const askIfSeen = () => {
      if (!document.hidden) void ask()
      else document.addEventListener("visibilitychange", askIfSeen, { once: true, signal: stop.signal })
    }
    void ask()
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [path, key, everyMs, round])
  const reload = useCallback(() => setRound((before) => before + 1), [])
  return { value: shown.value, error: shown.error, isBusy: shown.isBusy && path !== undefined, reload }
}

type Lists = { [Path in keyof Answers as Answers[Path] extends Page<unknown> ? Path : never]: Answers[Path] }

export interface Paged<List> extends Fetched<List> {
  /** Which page is shown, from 0; how many are before it is `index * limit`. */
  index: number
  limit: number
  /** Undefined: there is none. */
  goBack: (() => void) | undefined
  goOn: (() => void) | undefined
}

/** A list, a page at a time; another question begins at its first page. `<Pager {...pages} />` has the buttons. */
export function usePages<Path extends keyof Lists>(
  path: Path,
  query: Query = {},
  limit = 50,
  everyMs?: number,
): Paged<Lists[Path]> {
  const key = JSON.stringify([query, limit])
  const [at, setAt] = useState<{ key: string; cursors: string[] }>({ key, cursors: [] })
  const cursors = at.key === key ? at.cursors : []
  const fetched = useFetched(path, { ...query, limit, cursor: cursors.at(-1) }, everyMs) as Fetched<Lists[Path]>
  const next = (fetched.value as Page<unknown> | undefined)?.next
  return {
    ...fetched,
    index: cursors.length,
    limit,
    goBack: cursors.length === 0 ? undefined : () => setAt({ key, cursors: cursors.slice(0, -1) }),
    goOn: next === undefined ? undefined : () => setAt({ key, cursors: [...cursors, next] }),
  }
}

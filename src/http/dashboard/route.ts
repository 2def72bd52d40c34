/** Where in the page one is: `#/client/sensor%201?tab=queue` is the view `client`, with `sensor 1`, and `tab`. */
import { signal } from "@preact/signals"

export interface Place {
  /** The name of a view; empty: none was named. */
  view: string
  /** What stands behind it, decoded: a client id, a topic; empty: nothing. */
  of: string
  query: URLSearchParams
}

export const place = signal(read())
addEventListener("hashchange", () => {
  place.value = read()
})

/** The address of a view, for `href`. */
export function linkTo(view: string, of = "", query: Record<string, string> = {}): string {
  const asked = new URLSearchParams(query)
  return `#/${view}${of === "" ? "" : `/${encodeURIComponent(of)}`}${asked.size === 0 ? "" : `?${asked}`}`
}

export function goTo(view: string, of = "", query: Record<string, string> = {}): void {
  location.hash = linkTo(view, of, query)
}

/** The same place with something else asked: it takes the place of the entry in the browser's history. */
export function refine(query: Record<string, string>): void {
  const { view, of } = place.value
  window.history.replaceState(null, "", linkTo(view, of, query))
  place.value = read()
}

function read(): Place {
  const [, view = "", of = "", query = ""] = /^#\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(location.hash) ?? []
  return { view, of: decoded(of), query: new URLSearchParams(query) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // somebody has typed it so
  }
}

import { count } from "../../format.ts"
import type { Page } from "../types.ts"
import type { Paged } from "./fetched.ts"

/** Which part of a list is shown, and the way to the others: `<Pager {...usePages("clients")} />`. */
export function Pager({ value, index, limit, isBusy, goBack, goOn }: Paged<Page<unknown>>) {
  if (value === undefined || (value.total <= value.items.length && goBack === undefined)) return null
  const first = index * limit + 1
  const range = value.items.length === 0 ? "none" : `${count(first)}–${count(first + value.items.length - 1)}`
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" onClick={goBack} disabled={goBack === undefined || isBusy}>
        Previous
      </button>
      <span role="status">
        {range} of {count(value.total)}
      </span>
      <button type="button" onClick={goOn} disabled={goOn === undefined || isBusy}>
        Next
      </button>
    </nav>
  )
}

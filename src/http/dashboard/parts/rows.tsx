import type { ComponentChildren, CSSProperties, HTMLAttributes } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { rowsInView, scrollTopFor } from "../model/window.ts"

/** A row's height in `rem`: with the size of the text that somebody has chosen. */
const ROW_REM = 2

/**
 * A list of which only the rows in view are there, however long it is. It scrolls by itself; a row is placed by `style`, which it has to
 * take over.
 *
 * @example
 * <Rows count={rows.length} active={active} attributes={{ role: "tree" }} row={(index, style) => <div key={...} style={style} />} />
 */
export function Rows(props: {
  count: number
  row: (index: number, style: CSSProperties) => ComponentChildren
  /** Is scrolled into view when it becomes another; -1: none. */
  active: number
  attributes: HTMLAttributes<HTMLDivElement>
}) {
  const { count, row, active, attributes } = props
  const list = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ scrollTop: 0, height: 600 })
  const rowHeight = ROW_REM * Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
  useLayoutEffect(() => {
    const { current } = list
    if (current === null) return
    const look = () => setView({ scrollTop: current.scrollTop, height: current.clientHeight })
    const observer = new ResizeObserver(look)
    observer.observe(current)
    current.addEventListener("scroll", look, { passive: true })
    return () => {
      observer.disconnect()
      current.removeEventListener("scroll", look)
    }
  }, [])
  const shownActive = useRef(-1)
  useEffect(() => {
    const { current } = list
    const isNew = shownActive.current !== active
    shownActive.current = active
    if (current === null || active === -1 || !isNew) return
    const { scrollTop, clientHeight: height } = current
    current.scrollTop = scrollTopFor(active, { rowHeight, scrollTop, height })
  })
  const { first, end } = rowsInView({ rows: count, rowHeight, ...view })
  return (
    <div {...attributes} ref={list} class={`rows ${attributes.class ?? ""}`}>
      <div role="presentation" class="all" style={{ height: `${count * rowHeight}px` }}>
        {Array.from({ length: end - first }, (_, place) => {
          return row(first + place, { top: `${(first + place) * rowHeight}px`, height: `${rowHeight}px` })
        })}
      </div>
    </div>
  )
}

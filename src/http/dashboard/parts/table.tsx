import type { ComponentChildren } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"

/** A column of a table. */
export interface Column<Row> {
  /** Its heading. */
  title: string
  /** What stands in it. */
  cell: (row: Row) => ComponentChildren
  /** Numbers stand to the right. */
  isNumber?: boolean
  /** Left out where there is no room: on a phone. */
  isExtra?: boolean
}

/**
 * Rows with a caption, which only a screen reader gets to hear. The first column is the heading of each row.
 *
 * @example
 * <Table caption="Clients" columns={columns} rows={page.items} keyOf={({ clientId }) => clientId} none="Nobody is connected." />
 */
export function Table<Row>(props: {
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string
  /** What is said in place of rows. */
  none: ComponentChildren
  /** More is on its way: what is shown may be old. */
  isBusy?: boolean
}) {
  const { caption, columns, rows, keyOf, none, isBusy } = props
  if (rows.length === 0) return <p class="none">{isBusy ? "Loading…" : none}</p>
  return (
    <Scroll caption={caption}>
      <table aria-busy={isBusy}>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={classOf(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th key={column.title} scope="row" class={classOf(column)}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.title} class={classOf(column)}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}

/** What is wider than its place can be scrolled, by the keyboard too. */
function Scroll({ caption, children }: { caption: string; children: ComponentChildren }) {
  const element = useRef<HTMLDivElement>(null)
  const [isWider, setWider] = useState(false)
  useEffect(() => {
    const { current } = element
    if (current === null) return
    const observer = new ResizeObserver(() => setWider(current.scrollWidth > current.clientWidth))
    for (const each of [current, ...current.children]) observer.observe(each)
    return () => observer.disconnect()
  }, [])
  const reachable = isWider ? ({ tabIndex: 0, role: "group", "aria-label": caption } as const) : {}
  return (
    <div ref={element} class="scroll" {...reachable}>
      {children}
    </div>
  )
}

function classOf({ isNumber, isExtra }: Column<never>): string | undefined {
  return [isNumber && "number", isExtra && "extra"].filter(Boolean).join(" ") || undefined
}

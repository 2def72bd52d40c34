/** Which rows of a long list are made: those that are to be seen, and a few around. All are equally high. */

export interface Viewport {
  readonly rows: number
  readonly rowHeight: number
  readonly scrollTop: number
  readonly height: number
}

/** The first row, and the one after the last. */
export interface RowRange {
  readonly first: number
  readonly end: number
}

const AROUND = 8

export function rowsInView({ rows, rowHeight, scrollTop, height }: Viewport): RowRange {
  const first = Math.min(rows, Math.max(0, Math.floor(scrollTop / rowHeight) - AROUND))
  const end = Math.min(rows, Math.ceil((scrollTop + height) / rowHeight) + AROUND)
  return { first, end }
}

/** Where to scroll so that the row is to be seen whole; as little as possible. */
export function scrollTopFor(row: number, { rowHeight, scrollTop, height }: Omit<Viewport, "rows">): number {
  const [top, bottom] = [row * rowHeight, (row + 1) * rowHeight]
  if (top < scrollTop) return top
  return bottom > scrollTop + height ? bottom - height : scrollTop
}

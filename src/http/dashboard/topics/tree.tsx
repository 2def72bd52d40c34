import type { CSSProperties, TargetedKeyboardEvent, TargetedMouseEvent } from "preact"
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { count } from "../../format.ts"
import { previewOf, visible } from "../model/payload.ts"
import type { TopicNode, TopicRow } from "../model/topic-tree.ts"
import { moveBy, TypeAhead } from "../model/tree-keys.ts"
import { Rows } from "../parts/rows.tsx"
import type { Explorer } from "./explorer.ts"

/** Deeper levels are indented no further: there must be room for a name. */
const MOST_INDENTED = 12

/** The tree of topics, with the keyboard of the ARIA practices. `chosen`: the topic that is looked at. */
export function Tree(props: {
  explorer: Explorer
  /** What topics must have in their names; empty: anything. */
  search: string
  chosen: string | undefined
  onChoose: (topic: string) => void
}) {
  const { explorer, search, chosen, onChoose } = props
  const shown = explorer.shown.value
  const [closed, setClosed] = useState<{ search: string; nodes: ReadonlySet<TopicNode> }>({ search, nodes: new Set() })
  const closedNodes = closed.search === search ? closed.nodes : undefined
  const [activeTopic, setActiveTopic] = useState(chosen)
  const ahead = useRef(new TypeAhead())
  const rows = useMemo(() => shown.tree.rows(search, closedNodes), [shown, search, closedNodes])
  const isThere = chosen !== undefined && explorer.tree.get(chosen) !== undefined
  useEffect(() => {
    if (!isThere) return
    explorer.tree.reveal(chosen)
    explorer.changed()
    setActiveTopic((before) => before ?? chosen)
  }, [explorer, chosen, isThere])
  const found = rows.findIndex(({ node }) => node.topic === activeTopic)
  const lastActive = useRef(-1)
  // Where the active one has left, the one that is in its place now is it.
  const active = found === -1 && activeTopic !== undefined ? Math.min(lastActive.current, rows.length - 1) : found
  lastActive.current = active

  const setOpen = ({ node }: TopicRow, isOpen: boolean) => {
    if (search === "") explorer.tree.setOpen(node, isOpen)
    else {
      const nodes = new Set(closedNodes)
      if (isOpen) nodes.delete(node)
      else nodes.add(node)
      setClosed({ search, nodes })
    }
    explorer.changed()
  }
  const choose = (row: TopicRow) => {
    setActiveTopic(row.node.topic)
    onChoose(row.node.topic)
    if (row.node.value === undefined) setOpen(row, !row.isOpen)
  }
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.altKey || event.metaKey || rows.length === 0) return
    const from = Math.max(active, 0)
    const { key } = event
    if (key === "Enter" || key === " ") choose(rows[from]!)
    else {
      const isLetter = [...key].length === 1
      const to = isLetter ? ahead.current.type(key, rows, from, event.timeStamp) : -1
      const move = isLetter ? (to === -1 ? undefined : { to }) : moveBy(key, rows, active === -1 ? -1 : from)
      if (!isLetter && key !== "Shift") ahead.current.forget()
      if (active === -1 && !isLetter && key.startsWith("Arrow")) setActiveTopic(rows[0]!.node.topic)
      else if (move === undefined) return
      else if ("to" in move) setActiveTopic(rows[move.to]!.node.topic)
      else setOpen(rows[from]!, move.isOpen)
    }
    event.preventDefault()
  }
  const onClick = (event: TargetedMouseEvent<HTMLElement>) => {
    const target = event.target as HTMLElement
    const index = target.closest<HTMLElement>("[data-row]")?.dataset.row
    const row = index === undefined ? undefined : rows[Number(index)]
    if (row === undefined) return
    if (target.closest(".twist") === null) choose(row)
    else {
      setActiveTopic(row.node.topic)
      setOpen(row, !row.isOpen)
    }
  }
  if (rows.length === 0) return <Nothing explorer={explorer} search={search} />
  return (
    <Rows
      count={rows.length}
      active={active}
      attributes={{
        role: "tree",
        "aria-label": "Topics",
        "aria-activedescendant": active === -1 ? undefined : idOf(active),
        tabIndex: 0,
        onKeyDown,
        onClick,
        onFocus: () => active === -1 && setActiveTopic(rows[0]!.node.topic),
      }}
      row={(index, style) => {
        const row = rows[index]!
        return (
          <Item
            key={row.node.topic}
            {...{ row, index, style }}
            isActive={index === active}
            isChosen={row.node.topic === chosen}
          />
        )
      }}
    />
  )
}

function Item(props: { row: TopicRow; index: number; style: CSSProperties; isActive: boolean; isChosen: boolean }) {
  const { row, index, style, isActive, isChosen } = props
  const { node, isOpen, position, siblings } = row
  const { name, value, level, topics, isRetained } = node
  const indent = `${Math.min(level - 1, MOST_INDENTED)}rem`
  return (
    <div
      id={idOf(index)}
      role="treeitem"
      tabIndex={-1}
      aria-level={level}
      aria-posinset={position}
      aria-setsize={siblings}
      aria-expanded={isOpen}
      aria-selected={isChosen}
      data-row={index}
      class={`topic ${isActive ? "active" : ""}`}
      style={{ ...style, paddingInlineStart: indent }}
    >
      <span class="twist" aria-hidden="true">
        {isOpen === undefined ? "" : isOpen ? "▾" : "▸"}
      </span>
      <span class={name === "" ? "name muted" : "name"}>{name === "" ? "(empty)" : visible(name)}</span>
      {isOpen !== undefined && <span class="muted">{count(value === undefined ? topics : topics - 1)}</span>}
      {isRetained && (
        <span class="chip" title="retained">
          <span aria-hidden="true">R</span>
          <span class="unseen">retained</span>
        </span>
      )}
      {value !== undefined && <span class="value">{previewOf(value, 80)}</span>}
    </div>
  )
}

function Nothing({ explorer, search }: { explorer: Explorer; search: string }) {
  if (explorer.loading.value.isBusy) return <p class="none">Loading…</p>
  if (search !== "") return <p class="none">No topic that has been seen has “{search}” in its name.</p>
  return <p class="none">Nothing is retained, and nothing has been published since this view was opened.</p>
}

function idOf(index: number): string {
  return `topic-${index}`
}

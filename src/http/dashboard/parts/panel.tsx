import type { ComponentChildren } from "preact"
import { useId } from "preact/hooks"

/** A part of a view, with its heading and what can be done with it. */
export function Panel(props: {
  title: string
  actions?: ComponentChildren
  class?: string
  children: ComponentChildren
}) {
  const id = useId()
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.actions !== undefined && <div class="actions">{props.actions}</div>}
      </header>
      {props.children}
    </section>
  )
}

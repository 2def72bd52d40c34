import type { ComponentChildren } from "preact"
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks"
import { Problem } from "./problem.tsx"

/**
 * Asks before something is done that cannot be undone. While it is shown nothing else can be reached; Escape is no.
 *
 * @example
 * {asked && <Confirm title="Disconnect sensor-1?" action="Disconnect" act={() => remove("client", { clientId })} onClose={...} />}
 */
export function Confirm(props: {
  title: string
  /** What is on the button, and what it does. What that throws is shown. */
  action: string
  act: () => Promise<void>
  /** True: it has been done. */
  onClose: (isDone: boolean) => void
  children?: ComponentChildren
}) {
  const { title, action, act, onClose, children } = props
  const id = useId()
  const dialog = useRef<HTMLDialogElement>(null)
  const isDone = useRef(false)
  const [error, setError] = useState<unknown>()
  const [isBusy, setBusy] = useState(false)
  useLayoutEffect(() => dialog.current!.showModal(), [])
  const submit = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    try {
      await act()
    } catch (thrown) {
      setError(thrown)
      setBusy(false)
      return
    }
    isDone.current = true
    dialog.current!.close() // gives the focus back
  }
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={() => onClose(isDone.current)}>
      <form onSubmit={submit}>
        <h2 id={id}>{title}</h2>
        {children}
        <Problem error={error} />
        <div class="actions">
          <button type="button" onClick={() => dialog.current!.close()}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={isBusy}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  )
}

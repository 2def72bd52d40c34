import type { ComponentChildren } from "preact"
import { useId } from "preact/hooks"

/** What an input needs so that its label, its hint and what is wrong with it belong to it. */
export interface FieldProps {
  id: string
  "aria-describedby"?: string
  "aria-invalid"?: true
}

/**
 * A label, whatever is filled in, a hint and what is wrong.
 *
 * @example
 * <Field label="Topic" error={problem}>{(props) => <input {...props} value={topic} onInput={...} />}</Field>
 */
export function Field(props: {
  label: string
  hint?: ComponentChildren
  /** Undefined: nothing is wrong. */
  error?: string | undefined
  children: (props: FieldProps) => ComponentChildren
}) {
  const { label, hint, error, children } = props
  const id = useId()
  const described = [hint !== undefined && `${id}-hint`, error !== undefined && `${id}-error`].filter(Boolean).join(" ")
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        ...(described !== "" && { "aria-describedby": described }),
        ...(error !== undefined && { "aria-invalid": true }),
      })}
      {hint !== undefined && (
        <small id={`${id}-hint`} class="muted">
          {hint}
        </small>
      )}
      {error !== undefined && (
        <small id={`${id}-error`} class="bad">
          {error}
        </small>
      )}
    </div>
  )
}

import type { ComponentChildren } from "preact"
import { ApiError } from "../api.ts"

/** What has gone wrong, and what to do; nothing without an error. It is read out when it appears. */
export function Problem({ error, children }: { error: unknown; children?: ComponentChildren }) {
  if (error === undefined) return null
  const { title, message, parts } =
    error instanceof ApiError ? error : { title: "A fault of this page", message: String(error), parts: [] }
  return (
    <div class="problem" role="alert">
      <strong>{title}</strong>
      {message !== "" && <p>{message}</p>}
      {parts.length > 1 && (
        <ul>
          {parts.map(({ name, detail }) => (
            <li key={name}>
              <code>{name}</code>: {detail}
            </li>
          ))}
        </ul>
      )}
      {children}
    </div>
  )
}

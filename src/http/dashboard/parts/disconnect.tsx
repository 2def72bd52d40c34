import { useState } from "preact/hooks"
import { remove } from "../api.ts"
import { visible } from "../model/payload.ts"
import { announce } from "./announce.tsx"
import { Confirm } from "./confirm.tsx"
import { Field } from "./field.tsx"

/** Asks whether a client is to be disconnected, and does it. `onClose`: true: it has been done. */
export function Disconnect({ clientId, onClose }: { clientId: string; onClose: (isDone: boolean) => void }) {
  const [reasonString, setReasonString] = useState("")
  const name = visible(clientId)
  const act = async () => {
    await remove("client", { clientId, reasonString })
    announce(`${name} is disconnected`)
  }
  return (
    <Confirm title={`Disconnect ${name}?`} action="Disconnect" act={act} onClose={onClose}>
      <p>Its will is published and its session lives on. Nothing keeps it from coming back at once.</p>
      <Field label="Reason" hint="Told to MQTT 5 clients; may stay empty">
        {(props) => (
          <input {...props} value={reasonString} onInput={(event) => setReasonString(event.currentTarget.value)} />
        )}
      </Field>
    </Confirm>
  )
}

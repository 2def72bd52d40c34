import { visible } from "../model/payload.ts"
import { linkTo } from "../route.ts"

/** A client id, and the way to the client if it is connected. */
export function Link({ clientId, isConnected = true }: { clientId: string; isConnected?: boolean }) {
  const name = clientId === "" ? "(no id)" : visible(clientId)
  if (isConnected) return <a href={linkTo("client", clientId)}>{name}</a>
  return (
    <>
      {name} <span class="muted">(away)</span>
    </>
  )
}

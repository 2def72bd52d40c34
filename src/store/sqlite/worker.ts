/**
 * The thread of the store: it takes a request at a time, in order, and answers it. An error is an answer too.
 */
import { StoreDatabase } from "./database.ts"
import type { Answer, Request } from "./protocol.ts"

declare const self: Worker

let database: StoreDatabase | undefined

function answer({ call }: Request): unknown {
  switch (call.name) {
    case "open":
      database = new StoreDatabase(call.path, call.durability)
      return undefined
    case "load":
      return [...database!.load()]
    case "commit":
      return database!.commit(call.changes)
    case "page":
      return database!.page(call.owner, call.after, call.limit)
    case "close":
      database?.close()
      return undefined
  }
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  try {
    self.postMessage({ id: data.id, value: answer(data) } satisfies Answer)
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    self.postMessage({ id: data.id, error: { message, code } } satisfies Answer)
  }
}

/**
 * The thread of the store: it takes a request at a time, in order, and answers it. An error is an answer too.
 */
import { readFileSync } from "node:fs"
import type { Stored } from "../../broker/ports.ts"
import { StoreDatabase } from "./database.ts"
import { backup } from "./inspect.ts"
import { type Answer, type Parcel, packDeliveries, packItems, type Request, unpackItems } from "./protocol.ts"

declare const self: Worker

/** How much of what is loaded is sent at once. */
const LOAD_ITEMS = 1000

let database: StoreDatabase | undefined
let loading: Iterator<Stored> | undefined

function answer({ call }: Request): Parcel | undefined {
  switch (call.name) {
    case "open":
      database = new StoreDatabase(call.path, call.durability)
      return undefined
    case "load":
      if (call.isFirst) loading = database!.load()
      return packItems(nextItems())
    case "commit":
      database!.commit(unpackItems(call.changes))
      return undefined
    case "page":
      return packDeliveries(database!.page(call.owner, call.after, call.limit))
    case "close":
      database?.close()
      return undefined
    case "backup":
      backup(call.path, call.to)
      return undefined
  }
}

function nextItems(): Stored[] {
  const items: Stored[] = []
  while (items.length < LOAD_ITEMS) {
    const { done, value } = loading!.next()
    if (done) break
    items.push(value)
  }
  return items
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  try {
    send({ id: data.id, value: answer(data), written: bytesWritten() })
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    send({ id: data.id, error: { message, code } })
  }
}

/** What the thread has written, the log and its checkpoints alike. Linux counts it. */
function bytesWritten(): number | undefined {
  if (process.platform !== "linux") return undefined
  try {
    return Number(/^wchar: (\d+)/m.exec(readFileSync("/proc/thread-self/io", "latin1"))?.[1])
  } catch {
    return undefined // a kernel without I/O accounting
  }
}

function send(result: Answer): void {
  self.postMessage(result, result.value === undefined ? [] : [result.value.bytes.buffer as ArrayBuffer])
}

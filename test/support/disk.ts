/**
 * A database by the trace of the process that writes it: what would be left of it, at any moment, had the process been
 * killed then or the power been cut. A kill leaves what has been written; a power cut, at worst, only what had been
 * written when a sync began that has succeeded since. What a sync that failed should have saved is lost: the kernel gives
 * it up, and the next sync succeeds without it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { StoredDelivery } from "../../src/broker/ports.ts"
import { StoreDatabase } from "../../src/store/sqlite/database.ts"
import { temporaryFolder } from "./broker-process.ts"
import { type Moment, type SystemCall, syncs } from "./strace.ts"

export type Accident = "kill" | "power cut"

/** The calls of a trace that a disk wants to see. */
export const diskCalls = ["pwrite64", "ftruncate", ...syncs]

/** What a broker would find that starts from it. */
export interface Found {
  readonly sessions: ReadonlySet<string>
  /** `clientId filter qos` */
  readonly subscriptions: ReadonlySet<string>
  /** QoS 2 messages that clients have begun to send: `clientId packetId` */
  readonly received: ReadonlySet<string>
  /** Payloads by topic. */
  readonly retained: ReadonlyMap<string, string>
  /** Waiting and in flight. */
  readonly deliveries: readonly StoredDelivery[]
}

/** The files of a database as they are now, by path; one that is not there yet is empty. */
export function copyDatabase(path: string): Map<string, Buffer> {
  const files = [path, `${path}-wal`]
  return new Map(files.map((file) => [file, existsSync(file) ? readFileSync(file) : Buffer.alloc(0)]))
}

export class Disk {
  private readonly accident: Accident
  private readonly files: Map<string, WrittenFile>
  private found: Found | undefined

  /** `copy`: what there was before the trace begins. */
  constructor(copy: ReadonlyMap<string, Buffer>, accident: Accident) {
    this.accident = accident
    this.files = new Map([...copy].map(([path, content]) => [path, new WrittenFile(content)]))
  }

  /** Goes on to the next moment of the trace. */
  see({ call, isEnd }: Moment): void {
    const file = this.files.get(call.file)
    if (file === undefined) return
    if (syncs.includes(call.name)) {
      if (!isEnd) file.beginSync()
      else if (call.result === 0) this.keep(file)
      else file.lose()
    } else if (isEnd && call.result! >= 0) {
      file.write(call)
      if (this.accident === "power cut") return
      file.beginSync() // the kernel has it, and will write it some time
      this.keep(file)
    }
  }

  /** What there would be after the accident. */
  find(): Found {
    return (this.found ??= this.restart())
  }

  private keep(file: WrittenFile): void {
    file.keep()
    this.found = undefined
  }

  private restart(): Found {
    using folder = temporaryFolder()
    const [path] = this.files.keys()
    for (const [each, file] of this.files) {
      writeFileSync(join(folder.path, `found.db${each.slice(path!.length)}`), file.content)
    }
    return openDatabase(join(folder.path, "found.db"))
  }
}

/** A file, and the writes to it that may still be lost. */
class WrittenFile {
  private bytes: Buffer
  private length: number
  private readonly unsynced: SystemCall[] = []
  private syncing = 0

  constructor(content: Buffer) {
    this.bytes = Buffer.from(content)
    this.length = content.length
  }

  get content(): Buffer {
    return this.bytes.subarray(0, this.length)
  }

  write(call: SystemCall): void {
    this.unsynced.push(call)
  }

  /** What is written later is none of this sync's. */
  beginSync(): void {
    this.syncing = this.unsynced.length
  }

  /** The sync has succeeded. */
  keep(): void {
    for (const call of this.unsynced.splice(0, this.syncing)) this.apply(call)
  }

  /** The sync has failed. */
  lose(): void {
    this.unsynced.splice(0, this.syncing)
  }

  private apply({ name, bytes, lastArgument, result }: SystemCall): void {
    if (name === "ftruncate") {
      this.resize(lastArgument)
      return
    }
    if (lastArgument + result! > this.length) this.resize(lastArgument + result!)
    bytes.copy(this.bytes, lastArgument, 0, result)
  }

  private resize(length: number): void {
    if (length > this.bytes.length) this.bytes = Buffer.concat([this.content], length * 2)
    else if (length > this.length) this.bytes.fill(0, this.length, length)
    this.length = length
  }
}

/** Opens a database that nobody uses, as a broker would that starts from it. */
export function openDatabase(path: string): Found {
  const sessions = new Set<string>()
  const subscriptions = new Set<string>()
  const received = new Set<string>()
  const retained = new Map<string, string>()
  const deliveries: StoredDelivery[] = []
  const database = new StoreDatabase(path, "process")
  for (const item of database.load()) {
    switch (item.kind) {
      case "session":
        sessions.add(item.session.clientId)
        break
      case "subscribed": {
        const { clientId, topicFilter, qos } = item.subscription
        subscriptions.add(`${clientId} ${topicFilter} ${qos}`)
        break
      }
      case "received":
        received.add(`${item.clientId} ${item.packetId}`)
        break
      case "retained":
        retained.set(item.message.topic, textOf(item.message))
        break
      case "inflight":
        deliveries.push(item.delivery)
        break
      case "queue":
        deliveries.push(...database.page(item.queue.owner, 0, item.queue.count))
        break
    }
  }
  database.close()
  return { sessions, subscriptions, received, retained, deliveries }
}

/** The payload of a stored message. */
export function textOf({ payload }: { readonly payload: Uint8Array }): string {
  return Buffer.from(payload).toString()
}

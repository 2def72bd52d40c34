/**
 * What the store and its thread say to each other.
 *
 * Changes, deliveries and what is loaded cross as a `Parcel`: one JSON text, and one buffer with the byte strings of all
 * messages and wills, in their order. A structured clone of the same objects costs ten times as much (4.3 against 0.4 us
 * a delivery), most of it for byte strings. A message that several deliveries share is in it once.
 */
import type { Stored, StoredChange, StoredDelivery, StoredMessage, StoredWill } from "../../broker/ports.ts"
import type { Durability } from "./file.ts"

/** What is asked of the store's thread. */
export interface Request {
  readonly id: number
  readonly call:
    | { name: "open"; path: string; durability: Durability }
    /** The next part of what is loaded; an empty one ends it. */
    | { name: "load"; isFirst: boolean }
    | { name: "commit"; changes: Parcel }
    | { name: "page"; owner: string; after: number; limit: number }
    | { name: "close" }
    /** Of a thread that does nothing else: a copy of the database at `path`. */
    | { name: "backup"; path: string; to: string }
}

export interface Answer {
  readonly id: number
  readonly value?: Parcel | undefined
  /** Bytes that the thread has written since it began; undefined where the system does not tell. */
  readonly written?: number | undefined
  readonly error?: { message: string; code: string | undefined }
}

export interface Parcel {
  readonly text: string
  readonly bytes: Uint8Array
}

/** What may be sent in a parcel, as the others see it. */
type Item = StoredChange | Stored

/** Byte strings by their lengths; a delivery's message by its place among the messages. */
type Flat<T> = { [name in keyof T]: T[name] extends Uint8Array ? number : T[name] }
type FlatDelivery = Omit<StoredDelivery, "message"> & { message: number | undefined }

interface Contents {
  messages: Flat<StoredMessage>[]
  wills: Flat<StoredWill>[]
  /** Those with a message or a will have its number in their place. */
  items: unknown[]
}

export function packItems(items: readonly Item[]): Parcel {
  const packer = new Packer()
  return packer.close(items.map((item) => packer.item(item)))
}

export function unpackItems<T extends Item>(parcel: Parcel): T[] {
  const unpacker = new Unpacker(parcel)
  return unpacker.contents.items.map((item) => unpacker.item(item as Item)) as T[]
}

export function packDeliveries(deliveries: readonly StoredDelivery[]): Parcel {
  const packer = new Packer()
  return packer.close(deliveries.map((delivery) => packer.delivery(delivery)))
}

export function unpackDeliveries(parcel: Parcel): StoredDelivery[] {
  const unpacker = new Unpacker(parcel)
  return unpacker.contents.items.map((item) => unpacker.delivery(item as FlatDelivery))
}

class Packer {
  private readonly messages: Flat<StoredMessage>[] = []
  private readonly wills: Flat<StoredWill>[] = []
  private readonly places = new Map<StoredMessage, number>()
  /** The byte strings of messages, then those of wills. */
  private readonly parts: [messages: Uint8Array[], wills: Uint8Array[]] = [[], []]

  item(item: Item): unknown {
    switch (item.kind) {
      case "queued":
      case "inflight":
        return { kind: item.kind, delivery: this.delivery(item.delivery) }
      case "retained":
        return { kind: item.kind, message: this.message(item.message) }
      case "session": {
        const { will } = item.session
        return will === undefined ? item : { kind: item.kind, session: { ...item.session, will: this.will(will) } }
      }
      default:
        return item
    }
  }

  delivery(delivery: StoredDelivery): FlatDelivery {
    const { owner, sequence, qos, retain, identifiers, group, packetId, bytes } = delivery
    const message = delivery.message && this.message(delivery.message)
    return { owner, sequence, message, qos, retain, identifiers, group, packetId, bytes }
  }

  close(items: unknown[]): Parcel {
    const { messages, wills } = this
    return { text: JSON.stringify({ messages, wills, items } satisfies Contents), bytes: concat(this.parts.flat()) }
  }

  private message(message: StoredMessage): number {
    let place = this.places.get(message)
    if (place === undefined) {
      const { id, topic, payload, qos, retain, properties, expirySeconds, expiresAt } = message
      const lengths = { payload: payload.length, properties: properties.length }
      place = this.messages.push({ id, topic, qos, retain, expirySeconds, expiresAt, ...lengths }) - 1
      this.places.set(message, place)
      this.parts[0].push(payload, properties)
    }
    return place
  }

  private will(will: StoredWill): number {
    const { payload, properties } = will
    this.parts[1].push(payload, properties)
    return this.wills.push({ ...will, payload: payload.length, properties: properties.length }) - 1
  }
}

class Unpacker {
  readonly contents: Contents
  private readonly messages: StoredMessage[]
  private readonly wills: StoredWill[]
  private readonly bytes: Uint8Array
  private at = 0

  constructor({ text, bytes }: Parcel) {
    this.bytes = bytes
    this.contents = JSON.parse(text) as Contents
    this.messages = this.contents.messages.map((message) => this.restore(message))
    this.wills = this.contents.wills.map((will) => this.restore(will))
  }

  item(item: Item): unknown {
    switch (item.kind) {
      case "queued":
      case "inflight":
        return { kind: item.kind, delivery: this.delivery(item.delivery as unknown as FlatDelivery) }
      case "retained":
        return { kind: item.kind, message: this.messages[item.message as unknown as number] }
      case "session": {
        const will = item.session.will as unknown as number | undefined
        if (will === undefined) return item
        return { kind: item.kind, session: { ...item.session, will: this.wills[will] } }
      }
      default:
        return item
    }
  }

  delivery(delivery: FlatDelivery): StoredDelivery {
    const { owner, sequence, qos, retain, identifiers, group, packetId, bytes } = delivery
    const message = delivery.message === undefined ? undefined : this.messages[delivery.message]
    return { owner, sequence, message, qos, retain, identifiers, group, packetId, bytes }
  }

  private restore<T extends { payload: number; properties: number }>({ payload, properties, ...rest }: T) {
    return { ...rest, payload: this.next(payload), properties: this.next(properties) }
  }

  private next(length: number): Uint8Array {
    const start = this.at
    this.at += length
    return this.bytes.subarray(start, this.at)
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

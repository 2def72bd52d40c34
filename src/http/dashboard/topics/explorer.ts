/**
 * What the topic explorer knows: the topics of a filter, those that are retained and those over which something goes while it is open. It
 * stays while other views are shown, so that one comes back to the tree that one has left.
 */
import { signal } from "@preact/signals"
import { get } from "../api.ts"
import { TopicTree } from "../model/topic-tree.ts"
import type { TopicsEvent } from "../types.ts"

/** The most that the API gives in one page, and as much of each payload as the stream has. */
const PAGE = 1000
const PREVIEW_BYTES = 256

export interface Loading {
  readonly isBusy: boolean
  /** Of `total` retained messages. */
  readonly loaded: number
  readonly total: number
  readonly error: unknown
}

export class Explorer {
  readonly filter: string
  readonly tree = new TopicTree()
  /** The same tree in another object whenever something in it is another: what is drawn of it reads this. */
  readonly shown = signal({ tree: this.tree })
  readonly loading = signal<Loading>({ isBusy: true, loaded: 0, total: 0, error: undefined })
  /** Messages of the last second over topics that were left out. */
  omittedMessages = 0
  private stop: AbortController | undefined

  constructor(filter: string) {
    this.filter = filter
  }

  see({ topics, omittedMessages }: TopicsEvent): void {
    const time = Date.now()
    for (const { topic, ...value } of topics) this.tree.see(topic, { ...value, time })
    this.omittedMessages = omittedMessages
    this.changed()
  }

  /** Asks what is retained, as much as there is room for. What is not any more leaves. */
  async load(): Promise<void> {
    this.stop?.abort()
    this.stop = new AbortController()
    const { signal } = this.stop
    const found = new Set<string>()
    let total = 0
    let error: unknown
    try {
      let cursor: string | undefined
      do {
        const query = { topicFilter: this.filter, limit: PAGE, previewBytes: PREVIEW_BYTES, cursor }
        const page = await get("retained-messages", query, signal)
        for (const message of page.items) {
          found.add(message.topic)
          this.tree.retain(message.topic, message)
        }
        cursor = page.next
        total = page.total
        this.loading.value = { isBusy: true, loaded: found.size, total, error: undefined }
        this.changed()
      } while (cursor !== undefined && !(this.tree.isFull && found.size >= this.tree.size))
      if (cursor === undefined) this.tree.forget((topic) => !found.has(topic))
    } catch (thrown) {
      if (signal.aborted) return
      error = thrown
    }
    this.loading.value = { isBusy: false, loaded: found.size, total, error }
    this.changed()
  }

  /** Looks whether something is retained for a topic that is not there: it may be one for which there was no room. */
  async find(topic: string): Promise<void> {
    const query = { topicFilter: topic, limit: 1, previewBytes: PREVIEW_BYTES }
    const [message] = (await get("retained-messages", query)).items
    if (message === undefined) return
    this.tree.retain(topic, message)
    this.changed()
  }

  changed(): void {
    this.shown.value = { tree: this.tree }
  }
}

/** The one that is shown. */
export const explorer = signal<Explorer | undefined>(undefined)

import type { IPublishPacket } from "mqtt-packet"
import { Awaited } from "./awaited.ts"
import { TestMessage } from "./message.ts"

/** The messages of one client. */
export class Inbox {
  readonly messages: TestMessage[] = []
  /** How many of them `next` has given out. */
  private taken = 0
  private readonly readers = new Awaited<TestMessage>()
  private readonly topics = new Map<number, string>()

  put(packet: IPublishPacket): TestMessage {
    const alias = packet.properties?.topicAlias
    if (alias !== undefined && packet.topic !== "") this.topics.set(alias, packet.topic)
    const topic = packet.topic === "" && alias !== undefined ? (this.topics.get(alias) ?? "") : packet.topic
    const message = new TestMessage(packet, topic)
    this.messages.push(message)
    if (this.readers.give(message)) this.taken++
    return message
  }

  /** The first that this has not given out yet, or the first to come. */
  next(): Promise<TestMessage> {
    const message = this.messages[this.taken]
    if (message === undefined) return this.readers.next()
    this.taken++
    return Promise.resolve(message)
  }

  /** No more will come. */
  close(error: Error): void {
    this.readers.fail(error)
  }
}

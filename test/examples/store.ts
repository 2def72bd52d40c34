/** A store of your own: this one keeps what `memory()` keeps, and says what it does. */
import { allowAll, Broker, memory, type Store, type StoredChange, tcp } from "manju"
import { connectAsync } from "mqtt"

class TalkingStore implements Store {
  readonly inner = memory()

  load() {
    return this.inner.load()
  }

  commit(changes: readonly StoredChange[]) {
    const kinds = changes.map(({ kind }) => kind).filter((kind) => kind !== "total")
    if (kinds.length > 0) console.log(`commits ${kinds.join(", ")}`)
    return this.inner.commit(changes)
  }

  page(owner: string, after: number, limit: number) {
    return this.inner.page(owner, after, limit)
  }

  async close() {
    console.log("closes")
  }
}

const broker = new Broker({ store: new TalkingStore() })
const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "keeper", clean: false })
await client.subscribeAsync("a/#", { qos: 1 })
await broker.publish("b", "kept", { retain: true, qos: 1 })
await client.endAsync()
await broker.close()

// Prints:
// commits session
// commits subscribed
// commits retained
// commits session
// closes

/** `/metrics`, as Prometheus's own tool reads it. */
import { describe, expect, test } from "bun:test"
import { textOf } from "../../src/http/exposition.ts"
import { handled } from "../support/http.ts"
import { LateStore, microtasks } from "../support/store.ts"

/** What Debian's promtool says of metrics: nothing, if they are right. */
async function promtool(text: string): Promise<string> {
  const child = Bun.spawn(["promtool", "check", "metrics"], {
    stdin: Buffer.from(text),
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return code === 0 ? out + err : `exit code ${code}: ${out}${err}`
}

/** `name{labels}` -> value */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  return new Map(
    lines.map((line) => {
      const [, name, value] = /^(\S+?(?:\{.*\})?) (\S+)$/.exec(line)!
      return [name!, Number(value)]
    }),
  )
}

async function measured() {
  const store = new LateStore()
  const handled_ = await handled({}, "127.0.0.1", { store })
  const { ask, broker, client, clock } = handled_
  const publisher = client("publisher", { keepalive: 60 })
  client("subscriber", { clientId: "subscriber" }).subscribe("#", { qos: 1 })
  publisher.publish("t", "12345").publish("t", "123", { qos: 1 }).publish("t", "1", { qos: 2 })
  const published = broker.publish("kept", "x", { qos: 1, retain: true })
  await store.commitAll()
  await published
  clock.advance(1)
  const { status, headers, body } = await ask("/metrics")
  return { ...handled_, status, headers, text: body as string, samples: samplesOf(body) }
}

describe("/metrics", () => {
  test("is right in the eyes of promtool", async () => {
    const { status, headers, text } = await measured()
    expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"])
    expect(await promtool(text)).toBe("")
  })

  test("would not be, if there were something wrong with it", async () => {
    expect(await promtool("# TYPE a_total counter\na_total 1\n")).toContain("no help text")
    expect(await promtool("no metrics at all\n")).toStartWith("exit code 1")
  })

  test("has everything that an operator looks for", async () => {
    const { samples } = await measured()
    const version = expect.stringMatching(/^manju_build_info\{version=".+",bun=".+",platform=".+",arch=".+"\}$/)
    expect([...samples.keys()]).toContainEqual(version)
    for (const [name, value] of Object.entries({
      manju_connections: 2,
      manju_clients: 2,
      manju_sessions: 2,
      manju_subscriptions: 1,
      manju_retained_messages: 1,
      manju_inflight_messages: 3,
      manju_queued_messages: 0,
      'manju_messages_received_total{qos="0"}': 1,
      'manju_messages_received_total{qos="1"}': 1,
      'manju_messages_received_total{qos="2"}': 1,
      'manju_messages_sent_total{qos="0"}': 1,
      'manju_messages_sent_total{qos="1"}': 3,
      'manju_payload_received_bytes_total{qos="1"}': 3,
      'manju_payload_sent_bytes_total{qos="0"}': 5,
      'manju_dropped_total{reason="queue full"}': 0,
      'manju_limit_hits_total{limit="packet size"}': 0,
      'manju_auth_failures_total{interface="mqtt"}': 0,
      'manju_auth_failures_total{interface="http"}': 0,
      manju_store_ready: 1,
      manju_commits_total: 1,
      'manju_commit_seconds_bucket{le="+Inf"}': 1,
      'manju_garbage_collections_total{kind="young"}': 0,
      'manju_garbage_collections_total{kind="full"}': 0,
      'manju_garbage_collection_seconds_total{kind="young"}': 0,
      'manju_garbage_collection_seconds_total{kind="full"}': 0,
      manju_commit_seconds_count: 1,
      manju_store_written_bytes_total: 0,
      manju_event_loop_lag_seconds_count: 1,
    })) {
      expect([name, samples.get(name)]).toEqual([name, value])
    }
    for (const name of [
      ...["manju_received_bytes_total", "manju_sent_bytes_total", "manju_heap_used_bytes", "manju_commit_seconds_sum"],
      ...["process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"],
      ...(process.platform === "linux" ? ["process_open_fds", "process_max_fds", "process_virtual_memory_bytes"] : []),
    ]) {
      expect([name, samples.get(name)! > 0]).toEqual([name, true])
    }
  })

  test("has a reason for every message that was dropped, and a name for every limit", async () => {
    const { samples, core } = await measured()
    for (const reason of Object.keys(core.metrics.dropped)) {
      expect(samples.has(`manju_dropped_total{reason="${reason}"}`)).toBe(true)
    }
    for (const limit of Object.keys(core.metrics.limitsHit)) {
      expect(samples.has(`manju_limit_hits_total{limit="${limit}"}`)).toBe(true)
    }
  })

  test("says nothing of a store where there is none", async () => {
    const { ask } = await handled({})
    const { body } = await ask("/metrics")
    expect(body).not.toMatch(/manju_(store|commit)/)
    expect(await promtool(body)).toBe("")
  })

  test("tells that the store fails", async () => {
    const store = new LateStore()
    const { ask, broker } = await handled({}, "127.0.0.1", { store })
    void broker.publish("t", "x", { qos: 1, retain: true })
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    await microtasks()
    const samples = samplesOf((await ask("/metrics")).body)
    expect([samples.get("manju_store_ready"), samples.get("manju_commit_failures_total")]).toEqual([0, 1])
    expect(samples.get("manju_store_pending_bytes")).toBeGreaterThan(0)
  })
})

describe("the text format", () => {
  test("escapes what stands in a label", async () => {
    const labels = { a: 'quote " backslash \\ line\nfeed' }
    const text = textOf([{ name: "x", type: "gauge", help: "X.", samples: [{ labels, value: 1.5 }] }])
    expect(text).toBe('# HELP x X.\n# TYPE x gauge\nx{a="quote \\" backslash \\\\ line\\nfeed"} 1.5\n')
    expect(await promtool(text)).toBe("")
  })

  test("leaves out what has no value", () => {
    expect(textOf([{ name: "x", type: "gauge", help: "X.", samples: [] }])).toBe("")
  })
})

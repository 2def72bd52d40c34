import type { Explanation } from "../../broker/explanation.ts"
import type { TracedMessage } from "../../broker/trace.ts"
import type { Environment } from "../../config/environment.ts"
import { AdminClient, type LiveEvent } from "../admin-client.ts"
import type { AdminFlags } from "../admin-options.ts"
import { CommandFailure } from "../failure.ts"
import { Output } from "../output.ts"
import { complain, styled } from "../stderr.ts"
import { stopSignal } from "../stop-signal.ts"
import { styledFor } from "../terminal.ts"
import { explanationLines, type Paint, tracedLines } from "./words.ts"

/** What commander gives. */
export interface ExplainFlags extends AdminFlags {
  client: string
  topic: string
  from?: string
  watch?: true
  json?: true
}

/** An auth may have to ask somebody else. */
const TIMEOUT_MS = 30_000
const paint: Paint = (style, text) => styledFor("stdout", style, text)

/** Resolves when everything is said, or, with `--watch`, at a signal or when nobody reads any more. Throws a `CommandFailure`. */
export async function explain(flags: ExplainFlags, environment: Environment): Promise<void> {
  const { client: clientId, topic, from, watch, json } = flags
  const api = await AdminClient.from(flags, environment)
  const output = new Output()
  const say = (value: object, lines: readonly string[]) => {
    return output.write(Buffer.from(json ? `${JSON.stringify(value)}\n` : `${lines.join("\n")}\n`))
  }
  const explanation = await api.get<Explanation>("/api/v1/explain", { clientId, topic, from }, TIMEOUT_MS)
  await say(explanation, explanationLines(explanation, paint))
  if (watch) await follow(api, flags, output, (message) => say(message, tracedLines(message, paint)))
  await output.end()
}

async function follow(
  api: AdminClient,
  { client, topic, from }: ExplainFlags,
  output: Output,
  say: (message: TracedMessage) => Promise<unknown> | undefined,
): Promise<void> {
  const ended = new AbortController()
  void stopSignal().then(() => ended.abort())
  output.closed.then(
    () => ended.abort(),
    () => ended.abort(), // which its end says again
  )
  let isWatching = false
  for await (const event of api.live("/api/v1/live", { trace: topic, traceClient: client }, ended.signal)) {
    if (!isWatching) complain(styled("dim", `watching ${topic}; Ctrl-C ends it`))
    isWatching = true
    for (const message of messagesOf(event)) {
      const isMeant = from === undefined || message.from === from || message.isLate
      if (isMeant) await say(message)
    }
  }
  if (!ended.signal.aborted) throw new CommandFailure(`${api.place} has ended the stream`)
}

function messagesOf({ name, data }: LiveEvent): readonly TracedMessage[] {
  return name === "trace" ? (data as { messages: readonly TracedMessage[] }).messages : []
}

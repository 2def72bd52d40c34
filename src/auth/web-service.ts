/**
 * A web service that is asked questions: JSON by POST, an answer of bounded size in bounded time.
 *
 * So many requests are under way at once and so many of a network wait for their turn, networks one after the other, which
 * counts for their time; a question that is under way already is not asked again. Redirects are not followed, since a
 * question may hold a password. What goes wrong is an error of one line that quotes neither question nor answer.
 */
import { Gate } from "./gate.ts"

export interface WebServiceOptions {
  readonly url: URL
  readonly headers: Headers
  readonly timeoutMs: number
  readonly requestsAtOnce: number
}

export interface Answer {
  readonly status: number
  readonly text: string
}

const MOST_ANSWER_BYTES = 64 * 1024
const MOST_WAITING = 20_000

export class WebService {
  private readonly underWay = new Map<string, Promise<Answer>>()
  private readonly requests = new Set<AbortController>()
  private readonly gate: Gate
  private readonly options: WebServiceOptions

  constructor(options: WebServiceOptions) {
    this.options = options
    this.gate = new Gate(options.requestsAtOnce, MOST_WAITING)
  }

  /** What the service answers to a question about somebody at `address`. Rejects where there is no answer. */
  ask(question: string, address: string): Promise<Answer> {
    let answer = this.underWay.get(question)
    if (answer === undefined) {
      const asked = this.askAnew(question, address).finally(() => {
        if (this.underWay.get(question) === asked) this.underWay.delete(question)
      })
      this.underWay.set(question, (answer = asked))
    }
    return answer
  }

  /** Asks from now on what it is asking already, too: the answer may be another one. */
  forget(): void {
    this.underWay.clear()
  }

  /** Gives up what is under way: it is rejected. */
  abandon(): void {
    for (const request of this.requests) request.abort(new Error("was closed"))
  }

  private async askAnew(question: string, address: string): Promise<Answer> {
    if (this.gate.isFullFor(address)) throw new Error(`has ${MOST_WAITING} questions waiting already`)
    const request = new AbortController()
    this.requests.add(request)
    const { timeoutMs } = this.options
    const timer = setTimeout(() => request.abort(new Error(`gives no answer within ${timeoutMs} ms`)), timeoutMs)
    try {
      const answer = this.gate.run(address, () => this.send(question, request.signal))
      return await Promise.race([answer, rejectionOf(request.signal)]) // it may still wait for its turn
    } finally {
      clearTimeout(timer)
      this.requests.delete(request)
      request.abort() // whatever of it is left
    }
  }

  private async send(question: string, signal: AbortSignal): Promise<Answer> {
    const { url, headers } = this.options
    let status: number
    let text: string | undefined
    try {
      const post = { method: "POST", headers, body: question, redirect: "manual", decompress: false } as const
      const response = await fetch(url, { ...post, signal })
      status = response.status
      text = await boundedText(response)
    } catch (error) {
      signal.throwIfAborted()
      throw new Error(`cannot be reached: ${(error as { code?: string }).code ?? "the connection has failed"}`)
    }
    if (text === undefined) throw new Error(`answers with more than ${MOST_ANSWER_BYTES} bytes`)
    return { status, text }
  }
}

/** The body, if it is not too long. */
async function boundedText(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MOST_ANSWER_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }))
}

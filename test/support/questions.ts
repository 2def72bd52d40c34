/** A web service that an auth asks: it notes the questions, and answers what the test says, when it says so. */
import type { Server } from "bun"

/** What it has been asked. */
export interface Question {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly text: string
  /** The port that the request has come from: one for each connection; 0 if that is gone already. */
  readonly port: number
  readonly signal: AbortSignal
}

export class QuestionedService implements AsyncDisposable {
  readonly questions: Question[] = []
  /** The most questions that ever had no answer yet. */
  mostWaiting = 0
  private waiting = 0
  /** What it answers next, and from then on. */
  answer: (question: Question) => Response | Promise<Response> = () => Response.json({ allow: true })
  private readonly server: Server<undefined>

  constructor() {
    this.server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: async (request, server) => {
        const { url, method, headers, signal } = request
        const port = server.requestIP(request)?.port ?? 0 // none once who asks has given up
        const question = { url, method, headers, signal, port, text: await request.text() }
        this.questions.push(question)
        this.mostWaiting = Math.max(this.mostWaiting, ++this.waiting)
        try {
          return await this.answer(question)
        } finally {
          this.waiting--
        }
      },
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}/mqtt`
  }

  /** The questions as the JSON that they are. */
  get asked(): Record<string, unknown>[] {
    return this.questions.map(({ text }) => JSON.parse(text))
  }

  /** Answers when the returned function is called, one question at a call, the first first. */
  hold(): (answer: Response) => void {
    const held: ((answer: Response) => void)[] = []
    this.answer = () => new Promise((resolve) => held.push(resolve))
    return (answer) => held.shift()!(answer)
  }

  /** Goes away, connections included. */
  async stop(): Promise<void> {
    await this.server.stop(true)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

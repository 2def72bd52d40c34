import { microtasks } from "./store.ts"

/** Questions whose answers a test gives, when and in what order it likes. */
export class Late<Answer> {
  /** All that have been asked, in their order. */
  readonly asked: string[] = []
  private readonly pending = new Map<string, ReturnType<typeof Promise.withResolvers<Answer>>>()

  readonly ask = (question: string): Promise<Answer> => {
    const answer = Promise.withResolvers<Answer>()
    this.asked.push(question)
    this.pending.set(question, answer)
    return answer.promise
  }

  /** Answers a question, and lets happen what waited for that. */
  async give(question: string, answer: Answer): Promise<void> {
    this.pending.get(question)!.resolve(answer)
    await microtasks()
  }

  async fail(question: string, error: Error): Promise<void> {
    this.pending.get(question)!.reject(error)
    await microtasks()
  }
}

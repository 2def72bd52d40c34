/** Answers that are to come, to whoever has asked first; when the connection ends, they never will. */
export class Awaited<A> {
  private readonly waiting: PromiseWithResolvers<A>[] = []
  private failure: Error | undefined

  /** The next answer that nobody waits for yet. */
  next(): Promise<A> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    const answer = Promise.withResolvers<A>()
    this.waiting.push(answer)
    return answer.promise
  }

  /** Gives it to who has waited longest; false: nobody waits. */
  give(answer: A): boolean {
    const first = this.waiting.shift()
    first?.resolve(answer)
    return first !== undefined
  }

  fail(error: Error): void {
    this.failure = error
    for (const answer of this.waiting.splice(0)) answer.reject(error)
  }
}

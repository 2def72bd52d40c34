/**
 * Decisions that may be promises. One that is not goes straight on; one that is makes the connection wait, and only it. A
 * question that throws has been answered by `failed`.
 */
export function decide<A>(
  ask: () => A | PromiseLike<A>,
  failed: (error: unknown) => A,
  next: (answer: A) => void | Promise<void>,
): void | Promise<void> {
  let answer: A | PromiseLike<A>
  try {
    answer = ask()
  } catch (error) {
    answer = failed(error)
  }
  if (!isPromise(answer)) return next(answer)
  return Promise.resolve(answer).catch(failed).then(next)
}

/** Whether an answer is still to come: a promise of anybody's making. */
export function isPromise<A>(answer: A | PromiseLike<A>): answer is PromiseLike<A> {
  return typeof answer === "object" && answer !== null && "then" in answer
}

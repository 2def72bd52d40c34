/**
 * Decisions that may be promises. One that is not goes straight on; one that is makes the connection wait, and only it. A
 * question that throws has been answered by `failed`.
 */
export function decide<A>(
  ask: () => A | Promise<A>,
  failed: (error: unknown) => A,
  next: (answer: A) => void | Promise<void>,
): void | Promise<void> {
  let answer: A | Promise<A>
  try {
    answer = ask()
  } catch (error) {
    answer = failed(error)
  }
  if (!(answer instanceof Promise)) return next(answer)
  return answer.catch(failed).then(next)
}

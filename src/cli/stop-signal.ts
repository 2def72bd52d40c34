const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Resolves at the first signal that asks for an end. The second one ends the process at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve())
  })
}

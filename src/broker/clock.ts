import type { Clock } from "./ports.ts"

/**
 * The real clock. A gateway without a battery-backed clock may jump by decades when it first hears from a time server;
 * sessions and messages must not expire of that, so time here is the wall clock at start plus the monotonic clock.
 */
export function systemClock(): Clock {
  const start = Date.now() - performance.now()
  return {
    now: () => start + performance.now(),
    every(intervalMs, tick) {
      const timer = setInterval(tick, intervalMs)
      timer.unref()
      return () => clearInterval(timer)
    },
  }
}

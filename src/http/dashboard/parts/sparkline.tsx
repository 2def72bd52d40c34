import { describeNumbers, type Point, sparkline } from "../model/sparkline.ts"

const SIZE = { width: 480, height: 80 }

/** Numbers over time in a small line, and in words below it. */
export function Sparkline({ points, label }: { points: readonly Point[]; label: string }) {
  const line = sparkline(points, SIZE)
  const words = describeNumbers(points)
  return (
    <figure class="sparkline">
      {line !== undefined && (
        <svg viewBox={`0 0 ${SIZE.width} ${SIZE.height}`} role="img" aria-label={`${label}: ${words}`}>
          <polyline points={line.points} />
          <circle cx={line.end[0]} cy={line.end[1]} r="3.5" />
        </svg>
      )}
      <figcaption class="muted">{words}</figcaption>
    </figure>
  )
}

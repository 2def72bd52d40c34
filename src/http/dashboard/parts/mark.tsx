/** A steamed bun. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <path class="bun" d="M3 22C3 12 9 6 16 6s13 6 13 16c0 3-2 4-5 4H8c-3 0-5-1-5-4Z" />
      <path class="folds" d="M16 6c-1 3-3 5-6 7M16 6v8M16 6c1 3 3 5 6 7" />
    </svg>
  )
}

import { signal } from "@preact/signals"

const said = signal("")

/** Tells a screen reader, and shows for a while, what has been done: `announce("Disconnected sensor-1")`. */
export function announce(text: string): void {
  said.value = ""
  setTimeout(() => {
    said.value = text
    setTimeout(() => {
      if (said.value === text) said.value = ""
    }, 6000)
  })
}

/** Where it is said: once in the page. */
export function Announcements() {
  return (
    <div class="announcement" role="status">
      {said.value}
    </div>
  )
}

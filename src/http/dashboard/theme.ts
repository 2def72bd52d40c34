/** Light or dark: as the system has it, or as somebody has chosen in this browser. */
import { effect, signal } from "@preact/signals"

export const themes = ["auto", "light", "dark"] as const
export type Theme = (typeof themes)[number]

const STORED_UNDER = "manju.theme"
const system = matchMedia("(prefers-color-scheme: dark)")

export const theme = signal<Theme>(themes.find((each) => each === localStorage.getItem(STORED_UNDER)) ?? "auto")
/** What it comes to. Whatever is drawn, and not styled, is drawn anew when it changes. */
export const isDark = signal(system.matches)

/** From now on, the page looks so. */
export function applyTheme(): void {
  system.addEventListener("change", apply)
  effect(apply)
}

function apply(): void {
  const chosen = theme.value
  isDark.value = chosen === "auto" ? system.matches : chosen === "dark"
  if (chosen === "auto") {
    delete document.documentElement.dataset.theme
    localStorage.removeItem(STORED_UNDER)
  } else {
    document.documentElement.dataset.theme = chosen
    localStorage.setItem(STORED_UNDER, chosen)
  }
}

/** What somebody who looks has asked for by keys: in which order, which topics, whether it goes on. */
export const topicOrders = ["rate", "size", "messages", "topic"] as const
export const clientOrders = ["messages", "in", "out", "client"] as const

export interface View {
  readonly topicOrder: (typeof topicOrders)[number]
  readonly clientOrder: (typeof clientOrders)[number]
  /** Which topics are asked for. */
  readonly filter: string
  /** Another filter that is being written; undefined: none is. */
  readonly draft: string | undefined
  readonly isHalted: boolean
}

/** Undefined: it is to end. */
export function pressed(view: View, key: string): View | undefined {
  if (key === "\x03") return undefined // Ctrl-C
  if (view.draft !== undefined) return written({ ...view, draft: view.draft }, key)
  switch (key) {
    case "q":
    case "\x04": // Ctrl-D
      return undefined
    case "s":
      return { ...view, topicOrder: after(topicOrders, view.topicOrder) }
    case "c":
      return { ...view, clientOrder: after(clientOrders, view.clientOrder) }
    case " ":
      return { ...view, isHalted: !view.isHalted }
    case "/":
      return { ...view, draft: "" }
    default:
      return view
  }
}

/** Keys in what a terminal has sent: a sequence of an arrow or the like is one. */
export function keysIn(text: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape is what such a sequence begins with
  return text.match(/\x1b[[O][0-9;]*[A-Za-z~]|./gsu) ?? []
}

function written(view: View & { readonly draft: string }, key: string): View {
  const { draft, filter } = view
  if (key === "\r" || key === "\n") return { ...view, filter: draft === "" ? filter : draft, draft: undefined }
  if (key === "\x1b") return { ...view, draft: undefined }
  if (key === "\x7f" || key === "\b") return { ...view, draft: [...draft].slice(0, -1).join("") }
  if (key === "\x15") return { ...view, draft: "" } // Ctrl-U
  // biome-ignore lint/suspicious/noControlCharactersInRegex: other keys of control, and arrows, write nothing
  return /^[\x00-\x1f]/.test(key) ? view : { ...view, draft: draft + key }
}

function after<Order extends string>(orders: readonly Order[], order: Order): Order {
  return orders[(orders.indexOf(order) + 1) % orders.length]!
}

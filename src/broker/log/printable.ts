/**
 * Clients choose their names: none may move the cursor, turn the text around, or write what looks like a line of its own. The
 * lines of a stack trace alone stay lines, which begin as no other does.
 */
export function printableLine(text: string): string {
  return text.replaceAll(/(?!\n {4}at )[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`
  })
}

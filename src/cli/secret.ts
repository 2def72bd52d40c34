/**
 * Passwords, from whoever knows them. A new one: from the terminal, twice and without echo, so that nobody reads it there and a
 * slip of the finger is noticed; from standard input where that is not a terminal; from an option that says what it does.
 */
import { createInterface } from "node:readline"
import { Writable } from "node:stream"
import { LONGEST_PASSWORD_BYTES } from "../auth/hashes.ts"
import { ManjuError } from "../broker/errors.ts"
import { CommandFailure } from "./failure.ts"
import { standardInput } from "./stdin.ts"

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const signals = ["SIGTERM", "SIGHUP"] as const

/** Throws a `ManjuError` for a password that cannot be one, a `CommandFailure` where none is given. */
export async function newPassword(username: string, visible: string | undefined): Promise<Uint8Array> {
  const password =
    visible !== undefined ? Buffer.from(visible) : process.stdin.isTTY ? await askTwice(username) : await readLine()
  if (password.length === 0) throw new ManjuError("INVALID_OPTION", "a password must not be empty")
  if (password.length <= LONGEST_PASSWORD_BYTES) return password
  throw new ManjuError("INVALID_OPTION", `a password must not be longer than ${LONGEST_PASSWORD_BYTES} bytes`)
}

/** The first line of standard input, byte for byte, without its end. */
async function readLine(): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of standardInput()) {
    bytes = Buffer.concat([bytes, chunk])
    if (bytes.includes(LINE_FEED) || bytes.length > LONGEST_PASSWORD_BYTES + 2) break
  }
  const end = bytes.indexOf(LINE_FEED)
  const line = end < 0 ? bytes : bytes.subarray(0, end)
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line
}

/** A password that is there already, asked for once, without echo; empty where there is none. Throws a `CommandFailure` for Ctrl-C. */
export function askPassword(question: string): Promise<string> {
  return atTerminal((lines) => ask(lines, question, "no password was given"))
}

async function askTwice(username: string): Promise<Buffer> {
  const unanswered = "no password was given; nothing has changed"
  return atTerminal(async (lines) => {
    const first = await ask(lines, `Password for ${username}: `, unanswered)
    const second = await ask(lines, "The same again: ", unanswered)
    if (first !== second) throw new CommandFailure("the two passwords differ; nothing has changed")
    return Buffer.from(first)
  })
}

/** Gives lines of readline's editor, which writes what it would show nowhere. */
async function atTerminal<T>(talk: (lines: AsyncIterator<string>) => Promise<T>): Promise<T> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const editor = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 })
  const lines = editor[Symbol.asyncIterator]()
  const stop = () => editor.close()
  for (const signal of signals) process.once(signal, stop) // to end without it would leave the terminal without echo
  try {
    return await talk(lines)
  } finally {
    for (const signal of signals) process.off(signal, stop)
    editor.close()
  }
}

async function ask(lines: AsyncIterator<string>, question: string, unanswered: string): Promise<string> {
  process.stderr.write(question)
  const { value, done } = await lines.next()
  process.stderr.write("\n")
  if (done) throw new CommandFailure(unanswered)
  return value
}

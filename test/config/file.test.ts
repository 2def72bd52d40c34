/** The file of a configuration as TOML: what is wrong with it, and where; and where its keys are. */
import { describe, expect, test } from "bun:test"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ConfigFile } from "../../src/config/file.ts"
import type { Path } from "../../src/config/keys.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { problemsOf } from "../support/configuration.ts"

describe("what is no TOML is said with its line:", () => {
  const table: [what: string, text: string, line: string][] = [
    [
      "a value that is missing",
      "a = 1\nb =\nc = 2",
      "manju.toml:2: Missing value after '='; values must be on the same line",
    ],
    ["a key twice", "a = 1\n\n[b]\nc = 1\nc = 2\nd = 3", "manju.toml:5: Cannot redefine key 'c'"],
    ["a table twice", "[a]\nx = 1\n[b]\n[a]\ny = 2", "manju.toml:4: Cannot redefine table 'a'"],
    [
      "a table that is not closed",
      "\n[limits\nb = 1",
      "manju.toml:2: Expected ']' to close a table header but found (0x0A)",
    ],
    [
      "a text that is not closed, behind one of several lines",
      'a = """\nx\n"""\nb = [\n1,\n]\nc = "x\nd = 1',
      "manju.toml:7: Unterminated string; newlines must be escaped in basic strings",
    ],
    [
      "a list that is not closed, behind one that is",
      "a = [\n1,\n]\n\nb = [\n1,\n",
      "manju.toml:5: Unterminated array; expected ']'",
    ],
    ["a number with a nought in front", "mode = 0660", "manju.toml:1: Leading zeros are not allowed in numbers"],
    [
      "a number that is too large",
      "a = 1\nb = 9007199254740993\nc = 1",
      "manju.toml:2: Integer cannot be losslessly represented as a JavaScript number; it must be within +/-(2^53 - 1)",
    ],
    [
      "a text without quotes, which may be a secret and is not shown",
      "\ntoken = hello",
      "manju.toml:2: Strings must be quoted",
    ],
  ]
  for (const [what, text, line] of table)
    test(what, async () => {
      expect(await problemsOf({ file: text })).toEqual([line])
      expect(await problemsOf({ file: text.replaceAll("\n", "\r\n") })).toHaveLength(1)
    })
})

describe("a file that cannot be read is said:", () => {
  const table: [what: string, make: (path: string) => void, problem: string][] = [
    ["one that is not there", () => {}, ": there is no such file"],
    ["a folder", (path) => mkdirSync(path), ": is a folder"],
    ["one that is no text", (path) => writeFileSync(path, Buffer.from("a = 1\nb = \xff", "latin1")), ":2: not UTF-8"],
  ]
  for (const [what, make, problem] of table)
    test(what, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.toml")
      make(path)
      await expect(ConfigFile.read(path)).rejects.toMatchObject({ code: "INVALID_OPTION", lines: [path + problem] })
    })
})

test("what is allowed in TOML is taken: comments, texts of several lines, tables of every form, a byte order mark", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.toml")
  writeFileSync(path, '\ufeff# a\r\ndata = """\r\n/a""" # b\r\n[auth]\r\njwt.key = \'\\n\'\r\n"acl" = "x"\r\n')
  chmodSync(path, 0o400)
  expect((await ConfigFile.read(path)).values).toEqual({ data: "/a", auth: { jwt: { key: "\\n" }, acl: "x" } })
})

test("of every key it knows the line, and of what is not there that of the table around it", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.toml")
  const lines: [text: string, path: Path][] = [
    ['data = "x"', ["data"]],
    ["limits.maximumInflight = 1", ["limits", "maximumInflight"]],
    ["[auth]", ["auth"]],
    ["jwt = {", ["auth", "jwt"]],
    ['  "key" = "k" }', ["auth", "jwt", "key"]],
    ["[[listeners]]", ["listeners", 0]],
    ['type = "tcp"', ["listeners", 0, "type"]],
    ["[listeners.tls]", ["listeners", 0, "tls"]],
    ["[[listeners]]", ["listeners", 1]],
    ["origins = [", ["listeners", 1, "origins"]],
    ['  "a",', ["listeners", 1, "origins", 0]],
    ['  "b"]', ["listeners", 1, "origins", 1]],
  ]
  writeFileSync(path, lines.map(([text]) => text).join("\n"))
  const file = await ConfigFile.read(path)
  for (const [at, [, key]] of lines.entries()) expect([key, await file.lineOf(key)]).toEqual([key, at + 1])
  expect(await file.lineOf(["limits"])).toBe(2)
  expect(await file.lineOf(["listeners"])).toBe(6)
  expect(await file.lineOf(["listeners", 0, "tls", "cert"])).toBe(8)
  expect(await file.lineOf(["admin", "token"])).toBeUndefined()
})

/** Every example is run as its reader would run it, and prints what it says it prints. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { Glob } from "bun"

const folder = import.meta.dir
const examples = (await Array.fromAsync(new Glob("*.ts").scan(folder))).filter((name) => !name.endsWith(".test.ts"))

/** What the comment at the end of an example says. */
function promised(source: string): string {
  const [, comment] = source.split("// Prints:\n")
  if (comment === undefined) throw new Error("an example says at its end what it prints")
  return comment.replaceAll(/^\/\/ /gm, "")
}

for (const name of examples.sort()) {
  test(`${name} prints what it says`, async () => {
    const path = join(folder, name)
    const { stdout, stderr, exited } = Bun.spawn([process.execPath, path], { stdout: "pipe", stderr: "pipe" })
    const [printed, complaints] = await Promise.all([new Response(stdout).text(), new Response(stderr).text()])
    expect([complaints, await exited]).toEqual(["", 0])
    expect(printed).toBe(promised(await Bun.file(path).text()))
  })
}

test("there is one for everything that a service embeds a broker for", () => {
  const expected = ["auth", "hooks", "persistence", "request", "serve", "store", "tcp", "tls", "typed", "websocket"]
  expect(examples.map((name) => name.replace(".ts", "")).sort()).toEqual(expected)
})

/** The README's blocks of TypeScript, each as a program of its own, in a project that has the package. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { Certificates } from "../support/certificates.ts"
import { root, Service, strict, Tarball } from "../support/package.ts"
import { cheapHash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const readme = await Bun.file(join(root, "README.md")).text()
const blocks = Array.from(readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ({ 1: code, index }) => {
  const line = readme.slice(0, index).split("\n").length + 1
  return { title: `the block at line ${line}`, file: `readme/line-${line}.ts`, code: code! }
})

/** Whatever port a block asks for, it gets a free one: the other may be somebody else's here. */
const freePorts = `
  const { listen, serve } = Bun
  const free = (options: object) => ("unix" in options ? options : { ...options, port: 0 })
  Object.assign(Bun, { listen: (options: object) => listen(free(options) as never) })
  Object.assign(Bun, { serve: (options: object) => serve(free(options) as never) })
`

/** Ends what would go on for ever, once it is up. */
const runner = `
  await Promise.race([import(process.argv[2]!), Bun.sleep(3000)])
  await Bun.sleep(50) // for what goes wrong a little later
  process.exit(0)
`

describe("in the README", () => {
  let tarball: Tarball
  let service: Service

  beforeAll(async () => {
    tarball = await Tarball.pack()
    service = await Service.install(tarball)
    service.borrow("zod")
    using certificates = await Certificates.make()
    const { cert, key } = certificates.texts("server")
    const users = `ada:${await cheapHash("secret")}\n`
    const files = { "server.crt": cert, "server.key": key, "users.txt": users, "acl.txt": "topic readwrite #\n" }
    const programs = { "free-ports.ts": freePorts, "runner.ts": runner }
    for (const [name, text] of Object.entries({ ...files, ...programs })) await service.write(name, text)
    for (const { file, code } of blocks) await service.write(file, code)
  })
  afterAll(() => {
    tarball?.[Symbol.dispose]()
    service?.[Symbol.dispose]()
  })

  test("there are blocks of TypeScript", () => expect(blocks.length).toBeGreaterThan(0))

  test("each of them type-checks, as strictly as can be", async () => {
    const types = [join(root, "node_modules/bun-types")]
    expect(await service.typeErrors({ ...strict, types }, ["readme"])).toBe("")
  })

  for (const { title, file } of blocks) {
    test(`${title} runs`, async () => {
      const { code, err } = await service.bun(["--preload", "./free-ports.ts", "runner.ts", `./${file}`], {
        TOKEN_SECRET: "a secret of 32 bytes at the least",
      })
      expect({ code, err }).toEqual({ code: 0, err: "" })
    })
  }
})

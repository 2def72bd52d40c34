/** `manju import mosquitto` as a command: what it reads, writes and says, and how it ends; on what Debian ships, too. */
import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { temporaryFolder } from "../support/broker-process.ts"
import { manju } from "../support/command.ts"
import { sha512Hash } from "../support/password-file.ts"

const DEBIANS = "/etc/mosquitto/mosquitto.conf"
const samples = "/usr/share/doc/mosquitto/examples"

/** A folder with these files, and the command in it. */
function folderWith(files: Readonly<Record<string, string>>) {
  const folder = temporaryFolder()
  const path = (name: string) => join(folder.path, name)
  for (const [name, text] of Object.entries(files)) writeFileSync(path(name), text)
  return {
    path,
    read: (name: string) => readFileSync(path(name), "utf8"),
    /** Its output has `./` for the folder. */
    import: async (source: string, ...args: string[]) => {
      const { code, out, err } = await manju("import", "mosquitto", path(source), ...args)
      return { code, out: out.replaceAll(`${folder.path}/`, "./"), err: err.replaceAll(`${folder.path}/`, "./") }
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const users = `ada:${sha512Hash("engine")}\n`
const closed = "listener 1883\nallow_anonymous true\nplugin /x.so\n"

describe("manju import mosquitto", () => {
  test("writes a file that can be loaded, says what it did, and ends with 0", async () => {
    using folder = folderWith({ "a.conf": "listener 1883\npassword_file users\nuser x\n", users })
    const written = folder.path("manju.toml")
    expect(await folder.import("a.conf", "--output", written)).toEqual({
      code: 0,
      out: "",
      err: [
        "./a.conf:3: user x: it runs as whoever starts it: User= of systemd",
        "./manju.toml is written; of 3 lines 2 are carried over, 1 are not, or not as they were",
        "",
      ].join("\n"),
    })
    expect(await manju("check", "--config", written)).toMatchObject({ code: 0, err: "" })
    expect(Bun.TOML.parse(folder.read("manju.toml"))).toMatchObject({ auth: { passwords: "users" } })
  })

  test("- is standard output, with files by their whole names", async () => {
    using folder = folderWith({ "a.conf": "listener 1883\npassword_file users\n", users })
    const { code, out } = await folder.import("a.conf", "-o", "-")
    expect(code).toBe(0)
    expect(Bun.TOML.parse(out)).toMatchObject({ auth: { passwords: "./users" } })
  })

  test("replaces no file without --force, and with it keeps its mode", async () => {
    using folder = folderWith({ "a.conf": "listener 1883\nallow_anonymous true\n" })
    writeFileSync(folder.path("x.toml"), "mine", { mode: 0o640 })
    const refused = await folder.import("a.conf", "-o", folder.path("x.toml"))
    const err = "manju: ./x.toml is there already; --force replaces it, --output names another\n"
    expect(refused).toEqual({ code: 2, out: "", err })
    expect(folder.read("x.toml")).toBe("mine")
    expect(await folder.import("a.conf", "-o", folder.path("x.toml"), "--force")).toMatchObject({ code: 0 })
    expect(folder.read("x.toml")).toContain("[[listeners]]")
    expect(statSync(folder.path("x.toml")).mode & 0o777).toBe(0o640)
  })

  test("ends with 3 where a listener lets nobody in, and says which and why", async () => {
    using folder = folderWith({ "a.conf": closed })
    const { code, err } = await folder.import("a.conf", "-o", folder.path("x.toml"))
    expect(code).toBe(3)
    expect(err).toMatch(/^\.\/a\.conf:3: plugin \/x\.so: there are no plugins/m)
    expect(err).toMatch(/^\[?[0-9.:]+\]?:1883 lets nobody in: \.\/a\.conf:3: /m)
    expect((await manju("check", "--config", folder.path("x.toml"))).code).toBe(0)
  })

  test("ends with 3 where a file in it does not work, and says what is wrong with it in the result", async () => {
    using folder = folderWith({ "a.conf": "listener 1883\npassword_file users\nacl_file gone\n", users: "ada:plain\n" })
    const { code, err } = await folder.import("a.conf", "-o", folder.path("x.toml"))
    expect(code).toBe(3)
    expect(err).toContain("./x.toml:8: auth.passwords: ./users:1: not a hash that is known here")
    expect(err).toContain("./x.toml:10: auth.acl: ./gone: there is no such file")
  })

  test("ends with 1, and writes nothing, where there is no such file, or no listener that could be opened", async () => {
    using folder = folderWith({ "a.conf": "listener x\n" })
    const gone = { code: 1, out: "", err: "manju: ./b.conf: there is no such file\n" }
    expect(await folder.import("b.conf", "-o", folder.path("x.toml"))).toEqual(gone)
    const { code, err } = await folder.import("a.conf", "-o", folder.path("x.toml"))
    expect([code, err]).toEqual([1, expect.stringContaining("nothing is written, as it would be refused")])
    expect(existsSync(folder.path("x.toml"))).toBe(false)
  })

  test("says in a line where it cannot write", async () => {
    using folder = folderWith({ "a.conf": "allow_anonymous true\n" })
    const { code, err } = await folder.import("a.conf", "-o", folder.path("none/x.toml"))
    expect([code, err]).toEqual([1, "manju: cannot write ./none/x.toml: its folder does not exist\n"])
    const nameless = await folder.import("a.conf", "-o", "")
    expect([nameless.code, nameless.err]).toEqual([2, "manju: --output takes the name of a file, or -\n"])
  })

  test("is told of in --help, with its exit codes", async () => {
    expect((await manju("--help")).out).toMatch(/^ {2}import /m)
    const { out } = await manju("import", "mosquitto", "--help")
    expect(out).toContain("/etc/mosquitto/mosquitto.conf")
    expect(out).toContain("Exit codes: 0 ")
  })
})

describe("of what Debian ships", () => {
  test.skipIf(!existsSync(DEBIANS))("the configuration becomes a listener on loopback, with a database", async () => {
    using folder = folderWith({})
    const path = folder.path("manju.toml")
    const { code, err } = await manju("import", "mosquitto", "--output", path)
    expect([code, err.match(/^.*(?=: )/gm)]).toEqual([
      0,
      [
        `${DEBIANS}:6: pid_file /run/mosquitto/mosquitto.pid`,
        `${DEBIANS}:11: log_dest file /var/log/mosquitto/mosquitto.log: the log goes to standard error`,
      ],
    ])
    expect(Bun.TOML.parse(folder.read("manju.toml"))).toEqual({
      data: "/var/lib/mosquitto/manju.db",
      auth: { allowAnonymous: true },
      listeners: [{ type: "tcp", hostname: "127.0.0.1", port: 1883 }],
    })
  })

  const isThere = existsSync(`${samples}/mosquitto.conf`) || existsSync(`${samples}/mosquitto.conf.gz`)
  const example = () => {
    const path = `${samples}/mosquitto.conf`
    return existsSync(path) ? readFileSync(path, "utf8") : gunzipSync(readFileSync(`${path}.gz`)).toString()
  }

  test.skipIf(!isThere)("the example, in which nothing is said, is what holds without a file", async () => {
    using folder = folderWith({ "a.conf": example() })
    const { code, out, err } = await folder.import("a.conf", "-o", "-")
    expect([code, err]).toEqual([0, "of 0 lines 0 are carried over, 0 are not, or not as they were\n"])
    expect(Bun.TOML.parse(out)).toHaveProperty("listeners.length", 1)
  })

  test.skipIf(!isThere)("every line of the example that says a default is understood", async () => {
    const lines = example().match(/(?<=^#)[a-z][a-z0-9_.]*(?: \S.*)?$/gm)!
    const said = lines.filter((line) => line.includes(" ") && !line.includes("<"))
    expect(said.length).toBeGreaterThan(40)
    using folder = folderWith({ "a.conf": ["listener 1883", "allow_anonymous true", ...said].join("\n") })
    const { code, out, err } = await folder.import("a.conf", "-o", "-")
    // Its last word on strangers is false: nobody may come in, which is all that there is to say.
    expect(code).toBe(0)
    expect(err).not.toContain("is known here")
    expect(err).not.toContain(": takes ")
    expect(Bun.TOML.parse(out)).toMatchObject({ limits: { maximumInflight: 20 }, logLevel: "info" })
  })

  const files = { password_file: "/etc/mosquitto/pwfile.example", acl_file: "/etc/mosquitto/aclfile.example" }
  test.skipIf(!existsSync(files.password_file))("the files of passwords and rules work as they are", async () => {
    const lines = Object.entries(files).map(([name, path]) => `${name} ${path}`)
    using folder = folderWith({ "a.conf": ["listener 1883", ...lines].join("\n") })
    const { code, out, err } = await folder.import("a.conf", "-o", "-")
    expect([code, err]).toEqual([0, "of 3 lines 3 are carried over, 0 are not, or not as they were\n"])
    expect(Bun.TOML.parse(out)).toMatchObject({ auth: { passwords: files.password_file, acl: files.acl_file } })
  })
})

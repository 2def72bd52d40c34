/** `manju service`, as root of a machine of its own, in which `systemctl` writes down what it is asked. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, obstacle } from "../support/binary.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { manju } from "../support/command.ts"
import { PrivateRoot } from "../support/private-root.ts"

setDefaultTimeout(60_000)

const native = process.arch === "arm64" ? "linux-arm64" : "linux-x64"
const binary = "/usr/local/bin/manju"
const unit = "/etc/systemd/system/manju.service"
const config = "/etc/manju/manju.toml"
const why = obstacle()

/** Runs a machine unless /state says "offline"; refuses to start what /broken is there for; knows /pid. */
const systemctl = `#!/bin/sh
echo "systemctl $*" >> /asked
case "$1" in
  is-system-running) cat /state ;;
  show) cat /pid ;;
  restart) if [ -e /broken ]; then echo "Job for manju.service failed." >&2; exit 1; fi ;;
esac
`
const journalctl = `#!/bin/sh
echo "manju: 127.0.0.1:1883 is in use"
`

let made: Awaited<ReturnType<typeof build>>
let root: PrivateRoot

beforeAll(async () => {
  made = await build(native)
})
afterAll(() => made?.[Symbol.dispose]())

beforeEach(async () => {
  if (why !== undefined) return
  const path = join(made.path, `manju-${native}`)
  root = new PrivateRoot(path)
  root.put(path, binary)
  await writeAll({ "/state": "running\n", "/pid": "0\n", "/asked": "" })
  for (const [name, text] of Object.entries({ systemctl, journalctl })) {
    await root.write(`/usr/bin/${name}`, text)
    chmodSync(join(root.path, "usr/bin", name), 0o755)
  }
})
afterEach(() => root?.[Symbol.dispose]())

async function writeAll(files: Record<string, string>): Promise<void> {
  for (const [place, text] of Object.entries(files)) await root.write(place, text)
}

const service = (...args: string[]) => root.run(binary, "service", ...args)

/** What systemctl has been asked since the last time, but for what only asks back. */
async function asked(): Promise<string[]> {
  const lines = root.read("/asked").trim().split("\n")
  await root.write("/asked", "")
  return lines.map((line) => line.replace("systemctl ", "")).filter((line) => !/^(?:is-|show|$)/.test(line))
}

const started = ["daemon-reload", "enable manju.service", "restart manju.service"]

test("a machine of its own can be had here", () => expect(why).toBeUndefined())

describe.if(why === undefined)("manju service install", () => {
  test("writes the unit and a configuration, and starts the service now and with the machine", async () => {
    const { code, out, err } = await service("install")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toContain(`${config}: written; for this machine alone`)
    expect(out).toContain(`${unit}: written; it runs ${binary}`)
    expect(out).toContain("systemctl status manju")
    expect(await asked()).toEqual(started)
    expect(root.read(unit)).toContain(`\nExecStart=${binary} start --config ${config}\n`)
    expect([root.mode(unit), root.mode(config)]).toEqual([0o644, 0o644])
  })

  test("is the unit that --print shows, which does nothing", async () => {
    const before = root.everything()
    const { code, out } = await service("install", "--print")
    expect(code).toBe(0)
    expect([root.everything(), await asked()]).toEqual([before, []])
    await service("install")
    expect(root.read(unit)).toBe(out)
  })

  test("the configuration that it writes is right, and so is what stands in it for the whole network", async () => {
    mkdirSync(join(root.path, "var/lib/manju"), { recursive: true })
    await service("install")
    const closed = await root.run(binary, "check", "--config", config)
    expect([closed.code, closed.err]).toEqual([0, ""])
    expect(closed.out).not.toContain("0.0.0.0")
    expect(closed.out).toContain('data = "/var/lib/manju/manju.db"')

    await root.write("/secret", "secret\n")
    const { code } = await root.run("/bin/sh", "-c", `${binary} passwd add /etc/manju/users.txt ada < /secret`)
    expect(code).toBe(0)
    await root.write(config, root.read(config).replaceAll(/^#(?=\S)/gm, ""))
    const open = await root.run(binary, "check", "--config", config)
    expect([open.code, open.err]).toEqual([0, ""])
    expect(open.out).toContain("0.0.0.0")
  })

  // Without root each command here has a user namespace of its own, and sees nothing of the others.
  describe.if(process.getuid?.() === 0)("run again while manju runs", () => {
    let runner: Bun.Subprocess<"ignore", "pipe", "ignore">

    beforeEach(async () => {
      await service("install")
      await asked()
      const flags = ["--tcp", "0", "--no-ws", "--no-http"]
      runner = Bun.spawn(root.command(binary, ...flags), { stdin: "ignore", stdout: "pipe", stderr: "ignore" })
      await runner.stdout.getReader().read() // it listens
      await root.write("/pid", `${runner.pid}\n`)
    })
    afterEach(async () => {
      runner.kill()
      await runner.exited
    })

    test("leaves it running, and what is there as it is", async () => {
      await root.write(config, 'logLevel = "warn"\n')
      const { code, out } = await service("install")
      expect(code).toBe(0)
      expect(out).toContain(`${unit}: as it shall be already`)
      expect(out).toContain("manju runs already, and is this one")
      expect(root.read(config)).toBe('logLevel = "warn"\n')
      expect(await asked()).toEqual(started.slice(0, 2))
    })

    test("starts a newer one that has come in its place", async () => {
      const path = join(root.path, binary)
      copyFileSync(path, `${path}.new`)
      renameSync(`${path}.new`, path)
      expect((await service("install")).code).toBe(0)
      expect(await asked()).toEqual(started)
    })
  })

  test("run again from another place, replaces the unit that it wrote before", async () => {
    const { out } = await service("install", "--binary", "/usr/bin/cat")
    expect(out).toContain("it runs /usr/bin/cat")
    await asked()
    expect((await service("install")).code).toBe(0)
    expect(root.read(unit)).toContain(`ExecStart=${binary} `)
    expect(await asked()).toEqual(started)
  })

  for (const [whose, text, said] of [
    ["that a person has changed", (old: string) => `${old}LimitCORE=0\n`, "has been changed by hand"],
    ["of a stranger", () => "[Service]\nExecStart=/usr/bin/cat\n", "is not of manju service install"],
  ] as const) {
    test(`leaves a unit ${whose}, unless it is forced`, async () => {
      await service("install")
      const changed = text(root.read(unit))
      await root.write(unit, changed)
      await asked()
      const { code, err } = await service("install")
      expect([code, root.read(unit), await asked()]).toEqual([1, changed, []])
      expect(err).toContain(`${unit} ${said}`)
      expect(err).toContain("systemctl edit manju")
      expect((await service("install", "--force")).code).toBe(0)
      expect(root.read(unit)).not.toBe(changed)
    })
  }

  test("shows what manju has logged if it does not start", async () => {
    await root.write("/broken", "")
    const { code, err } = await service("install")
    expect(code).toBe(1)
    expect(err).toContain("Job for manju.service failed.\nmanju: 127.0.0.1:1883 is in use\n")
    expect(err).toContain("systemctl status manju")
  })

  test("writes nothing where no systemd runs, and says what to do instead", async () => {
    const before = root.everything()
    await root.write("/state", "offline\n")
    const { code, err } = await service("install")
    expect([code, root.everything()]).toEqual([1, before])
    expect(err).toContain(`no systemd runs this machine, so what does has to: have it run ${binary} start`)
    rmSync(join(root.path, "usr/bin/systemctl"))
    expect(await service("install")).toEqual({ code, err, out: "" })
  })

  test("is for root alone, and says how", async () => {
    using tools = temporaryFolder()
    await Bun.write(join(tools.path, "systemctl"), "#!/bin/sh\necho running\n")
    for (const path of [tools.path, join(tools.path, "systemctl"), made.path]) chmodSync(path, 0o755)
    const path = join(made.path, `manju-${native}`)
    const somebody = process.getuid?.() === 0 ? { uid: 65534 } : {}
    const env = { PATH: `${tools.path}:/bin` }
    const child = Bun.spawn([path, "service", "install"], { ...somebody, env, stderr: "pipe" })
    expect([await child.exited, await child.stderr.text()]).toEqual([
      1,
      `manju: only root may: sudo ${path} service install\n`,
    ])
  })

  test("--no-start writes and enables there", async () => {
    await root.write("/state", "offline\n")
    const { code, out } = await service("install", "--no-start")
    expect(code).toBe(0)
    expect(out).toContain("manju will start with the machine")
    expect(await asked()).toEqual(["enable manju.service"])
  })

  test("does not run what the service could not see, and says where to put it", async () => {
    root.put(join(root.path, binary), "/home/pi/manju")
    const { code, err } = await root.run("/home/pi/manju", "service", "install")
    expect(code).toBe(1)
    expect(err).toContain(
      "could not run /home/pi/manju: it sees nothing of /home; sudo install /home/pi/manju /usr/local",
    )
    expect(root.has(unit)).toBe(false)
  })

  test("does not run what is not for everybody", async () => {
    await root.write("/opt/manju/manju", "")
    chmodSync(join(root.path, "opt/manju/manju"), 0o755)
    for (const place of ["opt/manju", "opt/manju/manju"]) {
      chmodSync(join(root.path, place), 0o700)
      const { code, err } = await service("install", "--binary", "/opt/manju/manju")
      chmodSync(join(root.path, place), 0o755)
      expect([code, err]).toEqual([1, expect.stringContaining("it is not for everybody to read and to run")])
    }
    expect((await service("install", "--binary", "/opt/manju/manju")).code).toBe(0)
  })

  test("leaves a service that a package has installed", async () => {
    await root.write("/usr/lib/systemd/system/manju.service", "[Service]\n")
    const { code, err } = await service("install")
    expect([code, root.has(unit)]).toEqual([1, false])
    expect(err).toContain("systemctl enable --now manju")
  })
})

describe.if(why === undefined)("manju service uninstall", () => {
  test("ends the service and removes the unit; configuration and data stay", async () => {
    await service("install")
    await root.write("/var/lib/manju/manju.db", "")
    await asked()
    const { code, out } = await service("uninstall")
    expect(code).toBe(0)
    expect(await asked()).toEqual(["disable --now manju.service", "daemon-reload"])
    expect([root.has(unit), root.has(config)]).toEqual([false, true])
    expect(out).toContain("rm -r /etc/manju /var/lib/manju\n")
  })

  test("has nothing to do where there is none", async () => {
    expect(await service("uninstall")).toEqual({ code: 0, out: `${unit} is not there: nothing to do\n`, err: "" })
    expect(await asked()).toEqual([])
  })

  test("leaves a unit of a stranger, unless it is forced", async () => {
    await root.write(unit, "[Service]\n")
    const { code, err } = await service("uninstall")
    expect([code, root.has(unit)]).toEqual([1, true])
    expect(err).toContain("--force")
    expect((await service("uninstall", "--force")).code).toBe(0)
    expect(root.has(unit)).toBe(false)
  })
})

describe("manju service, of the sources", () => {
  test("install --root writes into an image, has systemd's own tool enable it there, and uninstall takes it away", async () => {
    using image = temporaryFolder()
    const flags = ["--root", image.path]
    const absent = await manju("service", "install", ...flags, "--binary", binary)
    expect(absent.code).toBe(1)
    expect(absent.err).toContain(
      `could not run ${binary}: it is not there in ${image.path}; --binary says where it will be`,
    )
    await Bun.write(join(image.path, binary), "")
    const { code, err } = await manju("service", "install", ...flags, "--binary", binary)
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const links = () => new Bun.Glob("etc/systemd/system/*.wants/*").scanSync({ cwd: image.path, onlyFiles: false })
    expect([...links()]).toEqual(["etc/systemd/system/multi-user.target.wants/manju.service"])
    expect((await manju("service", "uninstall", ...flags)).code).toBe(0)
    expect([...links()]).toEqual([])
  })

  test("what is no option is told, as usage", async () => {
    expect((await manju("service", "install", "--now")).code).toBe(2)
    expect((await manju("service", "start")).code).toBe(2)
  })
})

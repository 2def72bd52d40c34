/**
 * The package of Debian, in the hands of Debian's own tools: what is in it, and installed, run, installed again, removed and purged below a
 * root of its own.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../package.json" with { type: "json" }
import { build, obstacle } from "../support/binary.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { root as repository, run } from "../support/package.ts"
import { asRoot, PrivateRoot } from "../support/private-root.ts"

setDefaultTimeout(120_000)

const [architecture, target] = process.arch === "arm64" ? ["arm64", "linux-arm64"] : ["amd64", "linux-x64"]
const unit = "/usr/lib/systemd/system/manju.service"
const config = "/etc/manju/manju.toml"
const why = obstacle()
/** To compress well takes minutes. */
const hasty = { DPKG_DEB_COMPRESSOR_TYPE: "gzip", DPKG_DEB_COMPRESSOR_LEVEL: "1" }
/** Where dpkg finds what its scripts call; and its own words. */
const path = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }

let folder: ReturnType<typeof temporaryFolder>
let made: Awaited<ReturnType<typeof build>>
let binary: string
let packed: string

beforeAll(async () => {
  folder = temporaryFolder()
  made = await build(target!)
  binary = join(made.path, `manju-${target}`)
  packed = await pack(architecture!, binary, folder.path)
})
afterAll(() => {
  made?.[Symbol.dispose]()
  folder?.[Symbol.dispose]()
})

/** Makes the package, and says where it is. */
async function pack(arch: string, file: string, out: string): Promise<string> {
  const script = join(repository, "scripts/deb/index.ts")
  const command = [process.execPath, script, "--arch", arch, "--binary", file, "--out", out]
  const { code, err } = await run(repository, command, hasty)
  expect([code, err]).toEqual([0, ""])
  return join(out, `manju_${version}_${arch}.deb`)
}

/** Runs a command of Debian to its end, and returns what it says. */
async function told(...command: string[]): Promise<string> {
  const { code, out, err } = await run(folder.path, command, path)
  expect([command, code, err]).toEqual([command, 0, ""])
  return out
}

describe("the package", () => {
  test("has the binary, the unit, the first configuration and what Debian asks for, all of them root's", async () => {
    const lines = (await told("dpkg-deb", "--contents", packed)).trim().split("\n")
    const files = lines.map((line) => line.split(/\s+/)).filter(([mode]) => mode!.startsWith("-"))
    expect(files.map(([mode, owner, , , , name]) => [mode, owner, name])).toEqual([
      ["-rw-r--r--", "root/root", `.${config}`],
      ["-rwxr-xr-x", "root/root", "./usr/bin/manju"],
      ["-rw-r--r--", "root/root", `.${unit}`],
      ["-rw-r--r--", "root/root", "./usr/share/doc/manju/changelog.gz"],
      ["-rw-r--r--", "root/root", "./usr/share/doc/manju/copyright"],
      ["-rw-r--r--", "root/root", "./usr/share/lintian/overrides/manju"],
      ["-rw-r--r--", "root/root", "./usr/share/man/man1/manju.1.gz"],
    ])
  })

  test("says its version, what it needs and how large it is", async () => {
    const field = async (name: string) => (await told("dpkg-deb", "--field", packed, name)).trim()
    expect(await field("Version")).toBe(version)
    expect(await field("Architecture")).toBe(architecture!)
    expect(await field("Depends")).toMatch(/^libc6 \(>= [\d.]+\)$/)
    expect(Number(await field("Installed-Size"))).toBeGreaterThan(Bun.file(binary).size / 1024)
  })

  test("is of the time of the commit, and the same, byte for byte, when it is made again", async () => {
    using again = temporaryFolder()
    const [first, second] = [join(again.path, "1"), join(again.path, "2")]
    const small = join(again.path, "binary")
    await Bun.write(small, "#!/bin/sh\n")
    const before = await pack("arm64", small, first)
    expect(readFileSync(await pack("arm64", small, second)).equals(readFileSync(before))).toBe(true)
    const seconds = (await told("git", "-C", repository, "log", "-1", "--format=%ct")).trim()
    const times = await told("dpkg-deb", "--contents", before)
    const dates = times
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/).slice(3, 5).join("T"))
    expect(new Set(dates)).toEqual(new Set([new Date(Number(seconds) * 1000).toISOString().slice(0, 16)]))
    const [ar, name] = [8, 16] // the archive's own sign, and the name of its first part
    expect(
      readFileSync(before)
        .toString("latin1", ar + name, ar + name + 12)
        .trim(),
    ).toBe(seconds)
  })

  test("has nothing that lintian calls an error, which would say so", async () => {
    using other = temporaryFolder()
    const lintian = (file: string) =>
      run(other.path, ["lintian", "--no-cfg", "--allow-root", "--fail-on", "error", file], path)
    const small = await pack(architecture!, "/bin/true", other.path) // of a large one it reads every byte
    expect(await lintian(small)).toMatchObject({ code: 0 })
    const tree = join(other.path, "tree")
    await told("dpkg-deb", "--raw-extract", small, tree)
    rmSync(join(tree, "usr/share/doc/manju/copyright"))
    await told("dpkg-deb", "--root-owner-group", "--build", tree, small)
    expect((await lintian(small)).code).toBe(2)
  })
})

describe.if(why === undefined)("installed", () => {
  let root: PrivateRoot

  beforeAll(async () => {
    root = new PrivateRoot(binary)
    const [own, systemds] = [
      ["updates", "info", "triggers"],
      ["etc/systemd/system", "var/lib/systemd", "var/lib/private"],
    ]
    for (const each of [...own.map((name) => `var/lib/dpkg/${name}`), ...systemds]) {
      mkdirSync(join(root.path, each), { recursive: true })
    }
    const libc = `Package: libc6\nStatus: install ok installed\nMaintainer: -\nArchitecture: ${architecture}\nVersion: 2.31\nDescription: -\n`
    await root.write("/var/lib/dpkg/status", libc)
  })
  afterAll(() => root?.[Symbol.dispose]())

  /** dpkg of that root; its scripts run outside, and are told where it is. */
  const dpkg = async (...args: string[]) => {
    const flags = [`--root=${root.path}`, "--force-script-chrootless", "--log=/dev/null", ...args]
    const { code, out, err } = await run(root.path, [...asRoot(), "dpkg", ...flags], {
      ...path,
      DEBIAN_FRONTEND: "noninteractive",
    })
    if (code !== 0) throw new Error(`dpkg ${args.join(" ")}: ${out}${err}`)
    return (await run(root.path, ["dpkg", `--root=${root.path}`, "--status", "manju"], path)).out
  }
  const links = () => root.everything().filter((each) => /^etc\/.*\.wants\/manju\.service$/.test(each))
  let before: string[]

  test("is enabled by Debian's own helper", async () => {
    before = root.everything()
    expect(await dpkg("--install", packed)).toContain("Status: install ok installed")
    expect(links()).toEqual(["etc/systemd/system/multi-user.target.wants/manju.service"])
  })

  test("its unit is right in the eyes of systemd-analyze", async () => {
    const text = root.read(unit).replace("/usr/bin/manju", (path) => join(root.path, path))
    await Bun.write(join(folder.path, "manju.service"), text)
    await told("systemd-analyze", "verify", join(folder.path, "manju.service"))
  })

  test("what the unit runs is a broker for this machine, which keeps what it is given", async () => {
    const line = /^ExecStart=(.*)$/m.exec(root.read(unit))![1]!
    mkdirSync(join(root.path, "var/lib/manju"), { recursive: true }) // as StateDirectory does
    const anyPort = Object.fromEntries([0, 1, 2].map((index) => [`MANJU_LISTENERS_${index}_PORT`, "0"]))
    const start = () => BrokerProcess.of(root.command(...line.split(" ")), anyPort)
    const topic = (broker: BrokerProcess, ...flags: string[]) => [
      "-p",
      `${broker.port}`,
      "-t",
      "a/b",
      "-q",
      "1",
      ...flags,
    ]
    {
      await using broker = await start()
      expect(broker.said).toContain("mqtt://127.0.0.1:")
      expect((await run("/", ["mosquitto_pub", ...topic(broker, "-r", "-m", "kept")])).code).toBe(0)
      broker.signal("SIGTERM")
      expect(await broker.ended()).toBe(0)
    }
    await using broker = await start()
    expect((await run("/", ["mosquitto_sub", ...topic(broker, "-C", "1", "-W", "20")])).out).toBe("kept\n")
    expect(root.has("/var/lib/manju/manju.db")).toBe(true)
  })

  test("installed again, and removed, leaves what a person has written, and the data", async () => {
    const own = 'data = "/var/lib/manju/manju.db"\nlogLevel = "warn"\n'
    await root.write(config, own)
    await dpkg("--install", packed)
    expect(root.read(config)).toBe(own)
    expect(await dpkg("--remove", "manju")).toContain("Status: deinstall ok config-files")
    expect([root.has("/usr/bin/manju"), root.has(unit), root.has("/var/lib/manju/manju.db")]).toEqual([
      false,
      false,
      true,
    ])
    expect(root.read(config)).toBe(own)
  })

  test("purged, leaves nothing", async () => {
    mkdirSync(join(root.path, "var/lib/private/manju"), { recursive: true })
    expect(await dpkg("--purge", "manju")).toBe("")
    expect(root.everything()).toEqual(before)
  })
})

test("a root of its own can be had here", () => expect(why).toBeUndefined())

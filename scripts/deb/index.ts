/**
 * `bun run deb`: manju as a package of Debian for each architecture, made by Debian's own dpkg-deb of what `bun run build` makes.
 *
 * It has the binary, the unit and the first configuration that `manju service install` would write, and what Debian wants beside them. Its
 * scripts are those that debhelper would make. Two packages of one commit and one binary are the same, byte for byte: every time in it is
 * SOURCE_DATE_EPOCH, or else that of the commit. dpkg-deb heeds its own variables (DPKG_DEB_COMPRESSOR_TYPE, ..._LEVEL).
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { $ } from "bun"
import { Command, Option } from "commander"
import { version } from "../../package.json" with { type: "json" }
import config from "../../src/cli/service/manju.toml" with { type: "text" }
import { configPath, UNIT, unitFor } from "../../src/cli/service/unit.ts"

const root = join(import.meta.dir, "../..")
const BINARY = "/usr/bin/manju"
const [DATA, PROGRAM] = [0o644, 0o755]

/** What runs on every machine of that architecture: of amd64 also those without AVX2, which many a gateway is. */
const targets = { amd64: "linux-x64-baseline", arm64: "linux-arm64" } as const
type Architecture = keyof typeof targets

interface Options {
  arch: Architecture[]
  binary?: string
  out: string
}

function readOptions(): Options {
  const command = new Command("deb")
    .description("Makes manju as a package of Debian, for each architecture.")
    .addOption(new Option("--arch <name...>", "of what").choices(Object.keys(targets)).default(Object.keys(targets)))
    .option("--binary <file>", "what bun run build has made for it (default: makes it); with one --arch")
    .option("--out <folder>", "where to", join(root, "dist"))
    .allowExcessArguments(false)
    .parse()
  const options = command.opts<Options>()
  if (options.binary !== undefined && options.arch.length !== 1) command.error("error: --binary takes one --arch")
  return options
}

/** `0.2.0~beta.1` comes before `0.2.0`, as Debian sorts. */
const debianVersion = version.replace("-", "~")

/** Whoever makes the package says who they are as for Debian's other tools. */
const { DEBFULLNAME: name = "manju maintainers", DEBEMAIL: mail = "maintainers@manju.invalid" } = process.env
const maintainer = `${name} <${mail}>`

async function epoch(): Promise<string> {
  return process.env.SOURCE_DATE_EPOCH ?? (await $`git -C ${root} log -1 --format=%ct`.text()).trim()
}

const control = (architecture: Architecture, installedKiB: number) => `Package: manju
Version: ${debianVersion}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installedKiB}
Depends: libc6 (>= 2.17)
Suggests: mosquitto-clients
Section: net
Priority: optional
Description: MQTT 3.1, 3.1.1 and 5.0 broker
 All of MQTT, over TCP, TLS, WebSocket and Unix sockets, with passwords,
 rules, JSON Web Tokens, a dashboard, metrics and an admin API. What it has
 acknowledged is on the disk.
 .
 It is one program with everything inside, and a service of systemd that
 listens on loopback only until you say who may come in.
`

async function changelog(seconds: string): Promise<string> {
  const date = (await $`date --utc --rfc-email --date=@${seconds}`.text()).trim()
  return `manju (${debianVersion}) unstable; urgency=medium\n\n  * Release ${version}.\n\n -- ${maintainer}  ${date}\n`
}

function copyright(): string {
  const [, notice, text] = /(Copyright .*)\n\n([\s\S]*)/.exec(readFileSync(join(root, "LICENSE"), "utf8"))!
  const paragraphs = text!
    .trim()
    .replaceAll(/^(?=.)/gm, " ")
    .replaceAll(/^$/gm, " .")
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: manju
Comment: The program has Bun inside, which is under the MIT license, with
 JavaScriptCore, which is under the LGPL-2 and BSD licenses, and these
 packages:
${bundled()
  .map((line) => `  ${line}`)
  .join("\n")}

Files: *
Copyright: ${notice!.replace("Copyright (c) ", "")}
License: Expat

License: Expat
${paragraphs}
`
}

/** What `dependencies` of package.json bring, and theirs: each with its version and its license. */
function bundled(): string[] {
  const found = new Map<string, string>()
  const visit = (folder: string) => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    for (const name of Object.keys(dependencies)) {
      const path = installed(name, folder)
      if (path === undefined || found.has(path)) continue
      const manifest = JSON.parse(readFileSync(join(path, "package.json"), "utf8"))
      found.set(path, `${name} ${manifest.version} (${manifest.license})`)
      visit(path)
    }
  }
  visit(root)
  return [...new Set(found.values())].sort()
}

/** The folder of a package as the sources in another folder would have it. */
function installed(name: string, from: string): string | undefined {
  const path = join(from, "node_modules", name)
  if (existsSync(path)) return path
  return from === "/" ? undefined : installed(name, dirname(from))
}

const manual = () => readFileSync(join(import.meta.dir, "manju.1"), "utf8").replace("VERSION", version)

const gzip = (text: string) => $`gzip -9n < ${new Response(text)}`.blob()

/** Writes what the package installs, below `folder`. */
async function lay(folder: string, binary: string, seconds: string): Promise<void> {
  const docs = "/usr/share/doc/manju"
  const put = async (path: string, text: string | Blob) => {
    await Bun.write(join(folder, path), text)
    chmodSync(join(folder, path), DATA)
  }
  mkdirSync(join(folder, dirname(BINARY)), { recursive: true })
  copyFileSync(binary, join(folder, BINARY))
  chmodSync(join(folder, BINARY), PROGRAM)
  await put(`/usr/lib/systemd/system/${UNIT}`, unitFor([BINARY]))
  await put(configPath, config)
  await put(`${docs}/copyright`, copyright())
  await put(`${docs}/changelog.gz`, await gzip(await changelog(seconds)))
  await put("/usr/share/man/man1/manju.1.gz", await gzip(manual()))
  await put("/usr/share/lintian/overrides/manju", readFileSync(join(import.meta.dir, "lintian-overrides"), "utf8"))
}

/** Writes what dpkg reads of it, in DEBIAN; when all else is there. */
async function describe(folder: string, architecture: Architecture): Promise<void> {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()
  const files = paths.filter((path) => statSync(join(folder, path)).isFile())
  const sums = files.map((path) => {
    const hash = new Bun.CryptoHasher("md5").update(readFileSync(join(folder, path)))
    return `${hash.digest("hex")}  ${path}\n`
  })
  // As dpkg-gencontrol counts.
  const sizes = paths.map((path) => (files.includes(path) ? Math.ceil(statSync(join(folder, path)).size / 1024) : 1))
  const put = async (name: string, text: string, mode = DATA) => {
    await Bun.write(join(folder, "DEBIAN", name), text)
    chmodSync(join(folder, "DEBIAN", name), mode)
  }
  const total = sizes.reduce((sum, size) => sum + size, 0)
  await put("control", control(architecture, total))
  await put("md5sums", sums.filter((line) => !line.endsWith(`  ${configPath.slice(1)}\n`)).join(""))
  await put("conffiles", `${configPath}\n`)
  for (const name of ["postinst", "prerm", "postrm"]) {
    await put(name, readFileSync(join(import.meta.dir, name), "utf8"), PROGRAM)
  }
}

async function make(architecture: Architecture, { binary, out }: Options): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "manju-deb-"))
  try {
    const target = targets[architecture]
    if (binary === undefined)
      await $`${process.execPath} ${root}/scripts/build/index.ts --target ${target} --out ${folder} > /dev/null`
    const [tree, seconds] = [join(folder, "tree"), await epoch()]
    await lay(tree, binary ?? join(folder, `manju-${target}`), seconds)
    await describe(tree, architecture)
    for (const each of readdirSync(tree, { recursive: true, encoding: "utf8" })) {
      if (statSync(join(tree, each)).isDirectory()) chmodSync(join(tree, each), PROGRAM)
    }
    chmodSync(tree, PROGRAM)
    const path = join(out, `manju_${debianVersion}_${architecture}.deb`)
    // Ubuntu would take zstd, which Debian 11 does not know; how many threads compress shows in what comes out.
    const settings = { DPKG_DEB_COMPRESSOR_TYPE: "xz", DPKG_DEB_THREADS_MAX: "1", ...process.env }
    await $`dpkg-deb --root-owner-group --build ${tree} ${path}`
      .env({ ...settings, SOURCE_DATE_EPOCH: seconds })
      .quiet()
    return path
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const options = readOptions()
mkdirSync(options.out, { recursive: true })
for (const architecture of options.arch) {
  const path = await make(architecture, options)
  console.log(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${path}`)
}

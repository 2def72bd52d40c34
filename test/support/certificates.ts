/**
 * Certificates for tests, made by `openssl` in a temporary folder: an authority and whom it knows, one that nobody trusts and
 * whom that knows, and the odd ones. Keys are elliptic, so that all of them together take a fraction of a second.
 */
import { afterAll, beforeAll } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "./broker-process.ts"

/** Of the encrypted keys. */
export const PASSPHRASE = "open sesame"

const SERVER = { "DNS.1": "localhost", "IP.1": "127.0.0.1" }

/** Who there is: who has signed it, its subject, its alternative names. */
const people: Record<string, readonly [ca: string, subject: string, names: Record<string, string>]> = {
  server: ["ca", "/CN=localhost", SERVER],
  /** What replaces `server`. */
  renewed: ["ca", "/CN=renewed", SERVER],
  client: ["ca", "/CN=alice", { "email.1": "alice@example.com", "DNS.1": "alice.example.com" }],
  /** Two common names; and a name that looks like two, behind one that nobody here can read. */
  odd: [
    "ca",
    "/CN=first/CN=second",
    { "otherName.1": "1.2.3.4;UTF8:unread", "URI.1": "urn:a\\, DNS:root", "IP.1": "192.0.2.7" },
  ],
  nameless: ["ca", "/O=nobody", {}],
  rogueServer: ["rogueCa", "/CN=localhost", SERVER],
  rogueClient: ["rogueCa", "/CN=alice", { "email.1": "alice@example.com" }],
  /** Through an authority in between. */
  chained: ["intermediate", "/CN=localhost", SERVER],
  chainedClient: ["intermediate", "/CN=carol", { "email.1": "carol@example.com" }],
}

type Person =
  | "server"
  | "renewed"
  | "client"
  | "odd"
  | "nameless"
  | "rogueServer"
  | "rogueClient"
  | "chained"
  | "chainedClient"
  | "expired"
type Name = Person | "ca" | "rogueCa" | "intermediate"

export class Certificates {
  private readonly temporary = temporaryFolder()

  /** Makes all of them. Removed with `using`. */
  static async make(): Promise<Certificates> {
    const certificates = new Certificates()
    await certificates.makeAll()
    return certificates
  }

  /** At the top of a file of tests: they are made before its tests, and removed behind. */
  static forTests(): Certificates {
    const certificates = new Certificates()
    beforeAll(() => certificates.makeAll())
    afterAll(() => certificates[Symbol.dispose]())
    return certificates
  }

  /** The folder, for whatever else a test puts there. */
  get folder(): string {
    return this.temporary.path
  }

  path(file: string): string {
    return join(this.folder, file)
  }

  /** The paths of a certificate and its key, as the listeners take them. */
  files(name: Person): { cert: string; key: string } {
    return { cert: this.path(`${name}.crt`), key: this.path(`${name}.key`) }
  }

  /** The texts of a certificate and its key, as clients take them. */
  texts(name: Person): { cert: string; key: string } {
    return { cert: this.text(name), key: this.text(name, "key") }
  }

  text(name: Name, kind: "crt" | "key" = "crt"): string {
    return readFileSync(this.path(`${name}.${kind}`), "utf8")
  }

  /** What openssl shows as that person. */
  shown(name: Person | undefined): string[] {
    if (name === undefined) return []
    const { cert, key } = this.files(name)
    return ["-cert", cert, "-key", key, "-cert_chain", cert]
  }

  [Symbol.dispose](): void {
    this.temporary[Symbol.dispose]()
  }

  private async makeAll(): Promise<void> {
    await Promise.all([this.authority("ca", "root"), this.authority("rogueCa", "root")]) // one name, two keys
    await this.authority("intermediate", "between", "ca")
    const signed = Object.entries(people).map(([name, [ca, subject, names]]) => this.sign(name, ca, subject, names))
    await Promise.all([...signed, this.expired()])
    const between = this.text("intermediate")
    for (const name of ["chained", "chainedClient"] as const) {
      await Bun.write(this.path(`${name}.crt`), this.text(name) + between)
    }
    await this.encrypt()
  }

  private request(name: string, subject: string): string[] {
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return ["req", ...curve, "-keyout", this.path(`${name}.key`), "-subj", subject]
  }

  private signedBy(ca: string): string[] {
    return ["-CA", this.path(`${ca}.crt`), "-CAkey", this.path(`${ca}.key`)]
  }

  private authority(name: string, commonName: string, ca?: string): Promise<void> {
    const signature = ca === undefined ? [] : [...this.signedBy(ca), "-addext", "basicConstraints=critical,CA:TRUE"]
    const out = ["-x509", "-days", "2", "-out", this.path(`${name}.crt`)]
    return openssl(...this.request(name, `/CN=${commonName}`), ...out, ...signature)
  }

  private async sign(name: string, ca: string, subject: string, names: Record<string, string>): Promise<void> {
    const lines = Object.entries(names).map(([kind, value]) => `${kind} = ${value}`)
    const extensions = [
      "basicConstraints = critical,CA:FALSE",
      ...(lines.length > 0 ? ["subjectAltName = @names"] : []),
    ]
    const sections = ["[req]", "distinguished_name = req", "[extensions]", ...extensions, "[names]", ...lines, ""]
    const configuration = this.path(`${name}.cnf`)
    await Bun.write(configuration, sections.join("\n"))
    const out = ["-x509", "-days", "2", "-out", this.path(`${name}.crt`)]
    const configured = ["-config", configuration, "-extensions", "extensions"]
    await openssl(...this.request(name, subject), ...out, ...this.signedBy(ca), ...configured)
  }

  /** A client that was known until yesterday. */
  private async expired(): Promise<void> {
    const asked = this.path("expired.csr")
    await openssl(...this.request("expired", "/CN=alice"), "-new", "-out", asked)
    const out = ["-days", "-1", "-out", this.path("expired.crt")]
    await openssl("x509", "-req", "-in", asked, ...out, ...this.signedBy("ca"), "-CAcreateserial")
  }

  /** The server's key, behind a passphrase, in both forms that there are. */
  private async encrypt(): Promise<void> {
    const given = ["-in", this.path("server.key"), "-passout", `pass:${PASSPHRASE}`]
    await openssl("pkcs8", "-topk8", ...given, "-out", this.path("encrypted.key"))
    await openssl("ec", "-aes256", ...given, "-out", this.path("encrypted-ec.key"))
  }
}

async function openssl(...args: string[]): Promise<void> {
  if (Bun.which("openssl") === null) throw new Error("openssl is not installed: apt-get install openssl")
  const child = Bun.spawn(["openssl", ...args], { stdin: "ignore", stdout: "ignore", stderr: "pipe" })
  const [said, code] = await Promise.all([child.stderr.text(), child.exited])
  if (code !== 0) throw new Error(`openssl ${args.join(" ")} ended with ${code}: ${said}`)
}

/**
 * Certificates for tests, made by `openssl` in a temporary folder: an authority and whom it knows, one that nobody trusts and
 * whom that knows, and the odd ones. Keys are elliptic, so that all of them together take a fraction of a second.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "./broker-process.ts"

/** Of the encrypted keys. */
export const PASSPHRASE = "open sesame"

const SERVER = "DNS:localhost,IP:127.0.0.1"

/** Who there is: who has signed it, its subject, its alternative names. */
const people = {
  server: ["ca", "/CN=localhost", SERVER],
  /** What replaces `server`. */
  renewed: ["ca", "/CN=renewed", SERVER],
  client: ["ca", "/CN=alice", "email:alice@example.com,DNS:alice.example.com"],
  /** Two common names, and a name with a comma behind one that nobody here can read. */
  odd: ["ca", "/CN=first/CN=second", "otherName:1.2.3.4;UTF8:unread,URI:urn:a\\, DNS:root,IP:192.0.2.7"],
  nameless: ["ca", "/O=nobody", undefined],
  rogueServer: ["rogueCa", "/CN=localhost", SERVER],
  rogueClient: ["rogueCa", "/CN=alice", "email:alice@example.com"],
  /** Through an authority in between. */
  chained: ["intermediate", "/CN=localhost", SERVER],
  chainedClient: ["intermediate", "/CN=carol", "email:carol@example.com"],
} as const satisfies Record<string, readonly [ca: string, subject: string, names: string | undefined]>

type Person = keyof typeof people | "expired"
type Name = Person | "ca" | "rogueCa" | "intermediate"

export class Certificates {
  private readonly temporary = temporaryFolder()

  /** Makes all of them. Removed with `using`. */
  static async make(): Promise<Certificates> {
    const made = new Certificates()
    await Promise.all([made.authority("ca", "root"), made.authority("rogueCa", "root")]) // one name, two keys
    await made.authority("intermediate", "between", "ca")
    const signed = Object.entries(people).map(([name, [ca, subject, names]]) => made.sign(name, ca, subject, names))
    await Promise.all([...signed, made.expired()])
    const between = made.text("intermediate")
    for (const name of ["chained", "chainedClient"] as const) {
      await Bun.write(made.path(`${name}.crt`), made.text(name) + between)
    }
    await made.encrypt()
    return made
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

  [Symbol.dispose](): void {
    this.temporary[Symbol.dispose]()
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

  private sign(name: string, ca: string, subject: string, names: string | undefined): Promise<void> {
    const extensions = ["-addext", "basicConstraints=critical,CA:FALSE"]
    if (names !== undefined) extensions.push("-addext", `subjectAltName=${names}`)
    const out = ["-x509", "-days", "2", "-out", this.path(`${name}.crt`)]
    return openssl(...this.request(name, subject), ...out, ...this.signedBy(ca), ...extensions)
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

/**
 * The dashboard's page: three files that everybody may have, since they say nothing of the broker. What they show comes from the admin API,
 * to whom that lets in.
 *
 * They are made and compressed once, when one of them is asked for first, and kept. A browser keeps them, too, and asks each time whether
 * they are still the same.
 */
import { createHash } from "node:crypto"
import { text } from "../listeners/websocket.ts"
import { loadPage, type PageFiles } from "./page-files.ts"

/** Nothing but what comes from here, and nobody shows the page as a part of another. */
const POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ")

const pageHeaders = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
  Vary: "Accept-Encoding",
}

interface Served {
  readonly type: string
  readonly plain: Uint8Array<ArrayBuffer>
  readonly packed: Uint8Array<ArrayBuffer>
  readonly digest: string
}

export class Page {
  private files: Promise<Map<string, Served>> | undefined
  private readonly load: () => Promise<PageFiles>

  constructor(load = loadPage) {
    this.load = load
  }

  /** To a request for one of its files, whose path is `/` or its name. Throws where the page cannot be made, and tries anew the next time. */
  async answer(request: Request, pathname: string): Promise<Response> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "the page can only be read", { ...pageHeaders, Allow: "GET, HEAD" })
    }
    this.files ??= this.prepare()
    const file = (await this.files).get(pathname === "/" ? "index.html" : pathname.slice(1))!
    const isPacked = takesGzip(request.headers.get("accept-encoding"))
    const tag = `"${file.digest}${isPacked ? "-gzip" : ""}"`
    const headers = { ...pageHeaders, ETag: tag }
    if (isKnown(request.headers.get("if-none-match"), tag)) return new Response(null, { status: 304, headers })
    return new Response(isPacked ? file.packed : file.plain, {
      headers: { ...headers, "Content-Type": file.type, ...(isPacked && { "Content-Encoding": "gzip" }) },
    })
  }

  private async prepare(): Promise<Map<string, Served>> {
    try {
      return new Map(Object.entries(await this.load()).map(([name, file]) => [name, serve(file)]))
    } catch (error) {
      this.files = undefined
      throw error
    }
  }
}

function serve({ type, text }: { type: string; text: string }): Served {
  const plain = Buffer.from(text)
  const digest = createHash("sha256").update(plain).digest("base64url").slice(0, 22)
  return { type, plain, packed: Bun.gzipSync(plain, { level: 9 }), digest }
}

/** RFC 9110 §12.5.3 */
function takesGzip(accepted: string | null): boolean {
  const gzip = accepted?.split(",").find((each) => /^\s*gzip\s*(;|$)/i.test(each))
  return gzip !== undefined && !/;\s*q=0(\.0*)?\s*$/i.test(gzip)
}

/** RFC 9110 §13.1.2 */
function isKnown(tags: string | null, tag: string): boolean {
  const known = tags?.split(",").map((each) => each.trim().replace(/^W\//, "")) ?? []
  return known.includes("*") || known.includes(tag)
}

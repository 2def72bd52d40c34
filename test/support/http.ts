/** Who asks the HTTP listener: over a real socket, or a handler alone, as somebody from anywhere with any headers. */
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020.js"
import type { Server } from "bun"
import type { BrokerOptions } from "../../src/broker/options.ts"
import type { AdminOptions } from "../../src/http/access.ts"
import { DashboardHandler } from "../../src/http/handler.ts"
import { type DashboardOptions, dashboard } from "../../src/http/index.ts"
import { serve } from "../listeners/brokers.ts"
import { embed } from "./embedded.ts"

export interface Answered {
  readonly status: number
  readonly headers: Headers
  /** JSON as a value, everything else as text. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever has been answered, compared in parts
  readonly body: any
}

async function answered(response: Response): Promise<Answered> {
  const { status, headers } = response
  const text = await response.text()
  const isJson = /^application\/(problem\+)?json/.test(headers.get("content-type") ?? "")
  return { status, headers, body: isJson ? JSON.parse(text) : text }
}

/** What is asked, where it is not a GET without a body. */
export type Asked = Omit<RequestInit, "body" | "headers"> & {
  headers?: Record<string, string>
  json?: unknown
  body?: string
}

function requestOf({ json, ...init }: Asked): RequestInit {
  if (json === undefined) return init
  return { ...init, headers: { "Content-Type": "application/json", ...init.headers }, body: JSON.stringify(json) }
}

/** A broker with `dashboard()` on a free port; `closeBrokers` of test/listeners closes it. */
export async function administered(options: DashboardOptions = {}, brokerOptions: BrokerOptions = {}) {
  const served = await serve(dashboard({ port: 0, ...options }), brokerOptions)
  const url = `http://127.0.0.1:${served.port}`
  const ask = async (path: string, asked: Asked = {}) => answered(await fetch(url + path, requestOf(asked)))
  return { ...served, url, ask }
}

/** A handler without a listener: for those from other machines, and for headers that no browser would send. */
export async function handled(
  admin: AdminOptions | undefined,
  hostname = "127.0.0.1",
  brokerOptions: BrokerOptions = {},
) {
  const embedded = await embed(brokerOptions)
  const handler = new DashboardHandler(embedded.core, { id: "http", hostname }, admin)
  const ask = async (path: string, asked: Asked & { from?: string } = {}): Promise<Answered> => {
    const { from = "127.0.0.1", ...rest } = asked
    const server = { requestIP: () => ({ address: from }), timeout() {} } as unknown as Server<never>
    const init = requestOf({ ...rest, headers: { Host: "127.0.0.1:8080", ...rest.headers } })
    const route = handler.routes[path] ?? (path.startsWith("/api/") ? handler.routes["/api/*"] : undefined)
    const request = new Request(`http://127.0.0.1:8080${path}`, init)
    return answered(await (route ?? handler.fetch)(request, server))
  }
  return { ...embedded, handler, ask }
}

/** The description of the API, which knows what an answer must look like, and what has been asked. */
export class Description {
  // biome-ignore lint/suspicious/noExplicitAny: looked into here and there
  readonly document: any
  /** Every operation that it has, as `GET /api/v1/clients`. */
  readonly operations: readonly string[]
  /** `GET /api/v1/clients 200` */
  readonly seen = new Set<string>()
  private readonly ajv = new Ajv2020({ strict: false, validateFormats: true, formats: { base64: true } })

  constructor(document: object & { paths: object }) {
    this.document = document
    this.ajv.addSchema(document, "api")
    this.operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
    )
  }

  /** What is wrong with an answer to that request: nothing, if it is as described. */
  problemsOf(method: string, path: string, { status, headers, body }: Answered): string[] {
    const route = path.replace(/\?.*/, "")
    const operation = this.document.paths[route]?.[method.toLowerCase()]
    const response = operation?.responses[status]
    if (response === undefined) return [`${method} ${path}: ${status} is not described`]
    this.seen.add(`${method} ${route} ${status}`)
    if (response.content === undefined) return body === "" ? [] : [`${method} ${path}: ${status} has a body`]
    const type = headers.get("content-type")!.replace(/;.*/, "")
    if (response.content[type] === undefined) return [`${method} ${path}: ${status} is not ${type}`]
    const pointer = ["paths", route, method.toLowerCase(), "responses", String(status), "content", type, "schema"]
    return this.check(`api#/${pointer.map((part) => encodeURIComponent(part.replaceAll("/", "~1"))).join("/")}`, body)
  }

  /** What is wrong with a value that should be one of `#/components/schemas`. */
  problemsOfComponent(name: string, value: unknown): string[] {
    return this.check(`api#/components/schemas/${name}`, value)
  }

  private check(reference: string, value: unknown): string[] {
    const validate = this.ajv.getSchema(reference) as ValidateFunction | undefined
    if (validate === undefined) return [`${reference} is not there`]
    return validate(value) ? [] : validate.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
}

import type { Server } from "bun"
import type { Core } from "../broker/core.ts"
import type { WebHandler } from "../listeners/web.ts"
import { type DoorData, text } from "../listeners/websocket.ts"
import { Access, type AdminOptions } from "./access.ts"
import type { Api } from "./api/index.ts"
import type { Collections } from "./collections.ts"
import { liveness, readiness } from "./health.ts"
import { isLive, Live } from "./live.ts"
import { exposition } from "./metrics.ts"
import type { Page } from "./page.ts"
import { commonHeaders, Problem, problemOf } from "./problem.ts"

/** Where the page's files are: beside them is nothing for which the page would have to be loaded. */
const pagePaths: readonly string[] = ["/", "/dashboard.js", "/dashboard.css"]

/** As `Bun.serve` has it: a connection is closed on which nothing has happened for so long. */
const IDLE_SECONDS = 10

/** Answers what comes to `dashboard()`. */
export class DashboardHandler implements WebHandler {
  readonly routes: WebHandler["routes"]
  private readonly core: Core
  private readonly access: Access | undefined
  private readonly metrics: boolean | undefined
  private readonly live: Live
  /** Loaded with the first look at the metrics. */
  private collections: Promise<Collections> | undefined
  /** The routes and their schemas are loaded when somebody asks for the first time: most listeners only tell how the broker is. */
  private api: Promise<Api> | undefined
  /** And so is the page. */
  private page: Promise<Page> | undefined

  /** `admin`: undefined: there is nothing to administer. */
  constructor(core: Core, place: { id: string; hostname: string }, admin: AdminOptions | undefined) {
    this.core = core
    this.access = admin && new Access(core, place, admin)
    this.metrics = admin?.metrics
    this.live = new Live(core)
    this.routes = { "/healthz": liveness, "/readyz": () => readiness(core), ...this.operatorRoutes() }
  }

  /** The page, for whom nothing has to be shown; else nothing that there is. */
  readonly fetch = async (request: Request): Promise<Response> => {
    const pathname = URL.parse(request.url)?.pathname // none where a Host header makes no URL
    if (this.access === undefined || pathname === undefined || !pagePaths.includes(pathname)) return nothingHere()
    try {
      this.page ??= import("./page.ts").then(({ Page }) => new Page())
      return await (await this.page).answer(request, pathname)
    } catch (error) {
      return this.failure(error)
    }
  }

  close(): void {
    this.live.close()
    void this.collections?.then((collections) => collections.close())
  }

  private operatorRoutes(): WebHandler["routes"] {
    const { core, access, metrics } = this
    if (access === undefined) return {}
    const guarded = (answer: (request: Request) => Promise<Response>, isOpen = false) => {
      return async (request: Request, server: Server<DoorData>) => {
        try {
          if (!isOpen) await access.check(request, server.requestIP(request)?.address ?? "unknown")
          server.timeout(request, 0) // a copy of a large store takes its time, and a live stream has no end
          const response = await answer(request)
          // What holds for this request would hold for its connection: nobody may keep those for ever that he does not use.
          if (!isLive(response)) server.timeout(request, IDLE_SECONDS)
          return response
        } catch (error) {
          server.timeout(request, IDLE_SECONDS)
          return this.failure(error)
        }
      }
    }
    const scrape = async () => {
      this.collections ??= import("./collections.ts").then(({ Collections }) => new Collections(core.clock))
      return exposition(await core.broker!.admin.metrics(), (await this.collections).read())
    }
    return {
      "/api/*": guarded((request) => this.answer(request, access)),
      ...(metrics !== false && { "/metrics": guarded(scrape, metrics) }),
    }
  }

  private async answer(request: Request, { isProtected }: Access): Promise<Response> {
    this.api ??= import("./api/index.ts").then(({ Api }) => new Api(this.core, this.live, isProtected))
    return (await this.api).answer(request)
  }

  private failure(error: unknown): Response {
    const problem = problemOf(error)
    if (problem !== undefined) return problem.toResponse()
    this.core.onBug(error)
    return new Problem("fault", "it is in the log").toResponse()
  }
}

function nothingHere(): Response {
  return text(404, "there is /, /healthz, /readyz, /metrics and /api/v1/openapi.json", commonHeaders)
}

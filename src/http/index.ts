/**
 * The HTTP listener of whoever looks after the broker: the dashboard, the admin API, metrics, health checks, and MQTT over WebSocket on the
 * same port.
 *
 * `/healthz` and `/readyz` tell containers, load balancers and watchdogs how the broker is, and everybody may ask. So is the page of the
 * dashboard, which says nothing of the broker. Everything else is the operator's: see `access.ts`.
 */
import type { Listener } from "../broker/options.ts"
import { WebListener, type WebOptions } from "../listeners/web.ts"
import type { DoorOptions } from "../listeners/websocket.ts"
import { type AdminOptions, checkAdminOptions } from "./access.ts"
import { DashboardHandler } from "./handler.ts"

/** `port`: default 8080. */
export interface DashboardOptions extends WebOptions {
  /** Let MQTT clients in over WebSocket on the same port. Default: no. */
  websocket?: DoorOptions
  /**
   * The dashboard at `/`, the admin API at `/api/v1` that it stands on, and `/metrics`: for the processes of this machine while the listener is on a loopback address, and with a
   * token or a password for whoever has that, from anywhere. False: for nobody. Default: without token and password.
   */
  admin?: AdminOptions | false
}

/**
 * A listener for HTTP:
 *
 * - `/` is the dashboard, a page for browsers; it is made when somebody looks for the first time;
 * - `/healthz` is 200 while the process serves, `/readyz` 200 or, while the store fails, 503;
 * - `/metrics` is for Prometheus;
 * - `/api/v1` is the admin API, `broker.admin` for other programs: `/api/v1/openapi.json` describes it;
 * - with `websocket` MQTT clients come in on the same port.
 *
 * Throws `INVALID_OPTION` for options that make no sense.
 *
 * @example
 * await broker.listen(dashboard({ port: 8080, websocket: { auth: allowAll(), path: "/mqtt" } }))
 *
 * @example
 * const token = process.env.ADMIN_TOKEN!
 * await broker.listen(dashboard({ hostname: "0.0.0.0", admin: { token, metrics: true } }))
 */
export function dashboard(options: DashboardOptions = {}): Listener {
  const { port = 8080, id = `http:${port}`, hostname = "127.0.0.1", websocket, admin = {} } = options
  if (admin !== false) checkAdminOptions(admin)
  const place = { id, hostname }
  return new WebListener({ ...options, id, hostname, port }, websocket, (core) => {
    return new DashboardHandler(core, place, admin === false ? undefined : admin)
  })
}

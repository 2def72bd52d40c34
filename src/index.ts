/** manju: an MQTT broker to embed. Everything public is exported here. */
export { type AclEntry, acl } from "./auth/acl.ts"
export { allowAll, allowAnonymous } from "./auth/allow.ts"
export { all, any } from "./auth/compose.ts"
export { denyAll } from "./auth/deny.ts"
export { type HttpAuthOptions, http } from "./auth/http.ts"
export { type JwtOptions, jwt } from "./auth/jwt.ts"
export { type PasswordsOptions, passwords } from "./auth/passwords.ts"
export {
  Broker,
  type BrokerOptions,
  type Listener,
  type ListenerAddress,
  type PublishOptions,
} from "./broker/broker.ts"
export { type ErrorCode, ManjuError } from "./broker/errors.ts"
export type { Limits, ListenerLimits } from "./broker/limits.ts"
export type {
  Action,
  Admission,
  Auth,
  AuthContext,
  Authenticated,
  Authority,
  Certificate,
  Client,
  Clock,
  Connecting,
  Decision,
  Exchange,
  ExchangeStep,
  Logger,
  Permission,
  Refusal,
  Store,
  Stored,
  StoredChange,
  StoredDelivery,
  StoredMessage,
  StoredQueue,
  StoredSession,
  StoredSubscription,
  StoredWill,
} from "./broker/ports.ts"
export { type Properties, type ProtocolLevel, type QoS, Reason, type UserProperty } from "./codec/index.ts"
export type { ProxyOptions } from "./listeners/proxy.ts"
export { type TcpOptions, tcp } from "./listeners/tcp.ts"
export type { Pem, TlsOptions } from "./listeners/tls.ts"
export { type UnixOptions, unix } from "./listeners/unix.ts"
export { type DashboardOptions, dashboard, type WebSocketOptions, websocket } from "./listeners/web.ts"
export type { DoorOptions } from "./listeners/websocket.ts"
export { memory } from "./store/memory.ts"
export type { Durability } from "./store/sqlite/file.ts"
export { type SqliteOptions, sqlite } from "./store/sqlite/index.ts"

/** manju: an MQTT broker to embed. Everything public is exported here. */
export { allowAll } from "./auth/allow.ts"
export { denyAll } from "./auth/deny.ts"
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
  Auth,
  Authenticated,
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
export { type HttpOptions, http } from "./listeners/http.ts"
export { type TcpOptions, tcp } from "./listeners/tcp.ts"
export { memory } from "./store/memory.ts"
export type { Durability } from "./store/sqlite/database.ts"
export { type SqliteOptions, sqlite } from "./store/sqlite/index.ts"

/** manju: an MQTT broker to embed. Everything public is exported here. */
export { type AclEntry, acl } from "./auth/acl.ts"
export { allowAll, allowAnonymous } from "./auth/allow.ts"
export { all, any } from "./auth/compose.ts"
export { denyAll } from "./auth/deny.ts"
export { type HttpAuthOptions, http } from "./auth/http.ts"
export { type JwtOptions, jwt } from "./auth/jwt.ts"
export { type PasswordsOptions, passwords } from "./auth/passwords.ts"
export type {
  Admin,
  ByQoS,
  ClientQuery,
  LimitsReport,
  ListenerInfo,
  MetricsSnapshot,
  Page,
  PageQuery,
  ReloadReport,
  RetainedQuery,
  SessionInfo,
  SessionQuery,
  StoreMetrics,
  SubscriptionInfo,
  SubscriptionQuery,
} from "./broker/admin.ts"
export { ApplicationMessage, type MessageChanges, type PublishProperties } from "./broker/application-message.ts"
export { Broker } from "./broker/broker.ts"
export { type ErrorCode, ManjuError } from "./broker/errors.ts"
export type {
  ExplainQuery,
  Explanation,
  ExplanationSide,
  Finding,
  FindingCode,
  FindingEffect,
} from "./broker/explanation.ts"
export type { HistogramSnapshot } from "./broker/histogram.ts"
export type {
  Awaitable,
  ClientCounters,
  ConnectedClient,
  Disconnection,
  Hooks,
  Stopped,
  WirePacket,
} from "./broker/hooks.ts"
export type { LimitName, Limits, ListenerLimits } from "./broker/limits.ts"
export type { Overflow } from "./broker/local/mailbox.ts"
export type { RequestTerms } from "./broker/local/requests.ts"
export type { LocalSubscription, MessageHandler, SubscribeOptions } from "./broker/local/subscription.ts"
export type { TopicParams } from "./broker/local/topic-pattern.ts"
export type { TypedHandler, TypedMessage, TypedSubscription } from "./broker/local/typed-subscription.ts"
export type {
  TopicCodec,
  TopicOptions,
  TypedPublishOptions,
  TypedSubscribeOptions,
  TypedTopic,
} from "./broker/local/typed-topic.ts"
export type { LimitHit } from "./broker/metrics.ts"
export type { BrokerOptions, Listener, ListenerAddress, PublishOptions, RequestOptions } from "./broker/options.ts"
export type {
  Action,
  Admission,
  AreaLevels,
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
  LogArea,
  LogDetails,
  Logger,
  LogLevel,
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
export {
  type Properties,
  type ProtocolLevel,
  type QoS,
  Reason,
  type RetainHandling,
  type SubscribeRequest,
  type UserProperty,
} from "./codec/index.ts"
export type { Transport } from "./connection/index.ts"
export type { AdminOptions } from "./http/access.ts"
export { type DashboardOptions, dashboard } from "./http/index.ts"
export { type Accept, type Accepted, type CustomOptions, custom } from "./listeners/custom.ts"
export type { ProxyOptions } from "./listeners/proxy.ts"
export { type TcpOptions, tcp } from "./listeners/tcp.ts"
export type { Pem, TlsOptions } from "./listeners/tls.ts"
export { type UnixOptions, unix } from "./listeners/unix.ts"
export {
  type UpgradeHandlers,
  type UpgradeListener,
  type UpgradeOptions,
  type UpgradeServer,
  upgrade,
} from "./listeners/upgrade.ts"
export { type WebSocketOptions, websocket } from "./listeners/web.ts"
export type { DoorOptions } from "./listeners/websocket.ts"
export type { DropReason } from "./session/index.ts"
export { memory } from "./store/memory.ts"
export type { Durability } from "./store/sqlite/file.ts"
export { type SqliteOptions, sqlite } from "./store/sqlite/index.ts"

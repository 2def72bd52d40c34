/** The router: topic names, topic filters, and who subscribes to what. Pure: it knows no session and no socket. */
export * from "./filter.ts"
export * from "./retained.ts"
export * from "./router.ts"
export { type Route, ShareGroup, Subscription, type SubscriptionOptions, type Target } from "./subscription.ts"
export * from "./topics.ts"

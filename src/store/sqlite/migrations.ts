/** The migrations as drizzle-kit wrote them, imported as text so that a compiled binary carries them. */
import initial from "./migrations/0000_initial.sql" with { type: "text" }
import username from "./migrations/0001_username.sql" with { type: "text" }

/** In order; the number of those applied is the database's `user_version`. */
export const migrations: readonly string[] = [initial, username]

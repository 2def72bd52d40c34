import { defineConfig } from "drizzle-kit"

/** `bunx drizzle-kit generate --config scripts/drizzle.config.ts` writes the next migration. */
export default defineConfig({
  dialect: "sqlite",
  schema: "./src/store/sqlite/schema.ts",
  out: "./src/store/sqlite/migrations",
})

import { describe, expect, test } from "bun:test"
import { Harness } from "../support/harness.ts"

describe("[MQTT-3.1.0-2] a second CONNECT is a protocol error", () => {
  for (const level of [4, 5] as const)
    test(`level ${level}: the connection is closed`, () => {
      const client = new Harness().client("a", { level })
      client.connect({ level })
      expect(client.isClosed).toBe(true)
      expect(client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual(
        level === 5 ? [["disconnect", 0x82]] : [],
      )
    })
})

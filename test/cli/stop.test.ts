/** How `manju start` ends: the command as a process, clients in front of it, and signals. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { RawClient } from "../listeners/socket.ts"
import { BrokerProcess } from "../support/broker-process.ts"

setDefaultTimeout(60_000)

describe("a signal ends it", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`${signal}: DISCONNECT 0x8B to clients of 5.0, an end to the others, exit code 0`, async () => {
      await using broker = await BrokerProcess.start()
      const clients = await Promise.all(
        ([3, 4, 5] as const).map((level) => RawClient.connect(broker.port, `v${level}`, level)),
      )
      broker.signal(signal)
      await Promise.all(
        clients.map(async (client) => {
          await client.until(() => client.hasEnded, "the end")
          client.end()
        }),
      )
      expect(await broker.ended()).toBe(0)
      expect(clients.map((client) => client.take().map(({ reasonCode }) => reasonCode))).toEqual([
        [],
        [],
        [Reason.ServerShuttingDown],
      ])
    })

  test("a second one does not wait for a client that stays", async () => {
    const stop = async (...signals: NodeJS.Signals[]) => {
      await using broker = await BrokerProcess.start()
      const stubborn = await RawClient.connect(broker.port, "stubborn")
      const began = performance.now()
      for (const signal of signals) {
        broker.signal(signal)
        await stubborn.until(() => stubborn.hasEnded, "the end") // it has begun to stop
      }
      expect(await broker.ended()).toBe(0)
      return performance.now() - began
    }
    const patient = await stop("SIGTERM")
    expect(await stop("SIGTERM", "SIGINT")).toBeLessThan(patient / 2)
  })
})

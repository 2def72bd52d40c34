import { describe, expect, test } from "bun:test"
import { networkOf } from "../../src/broker/network.ts"

describe("the network of an address", () => {
  test("of IPv4 is the address itself, also where it comes as one of IPv6", () => {
    expect(networkOf("192.0.2.7")).toBe("192.0.2.7")
    expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7")
  })

  test("of IPv6 is its first four groups, however it is written", () => {
    expect(networkOf("2001:db8:0:1::9")).toBe("2001:db8:0:1")
    expect(networkOf("2001:db8:0:1:aaaa:bbbb:cccc:dddd")).toBe("2001:db8:0:1")
    expect(networkOf("::1")).toBe("0:0:0:0")
  })

  test("is none for what is no IP address", () => {
    expect(networkOf("unix")).toBeUndefined()
    expect(networkOf("")).toBeUndefined()
    expect(networkOf("192.0.2.300")).toBeUndefined()
  })

  test("is each one's own, whoever was asked for before", () => {
    const asked = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "unix", "unix", "192.0.2.1"]
    expect(asked.map(networkOf)).toEqual(["192.0.2.1", "192.0.2.1", "192.0.2.2", undefined, undefined, "192.0.2.1"])
  })
})

/** A client in memory: what it says, what it hears, and how it ends. */
import { describe, expect, test } from "bun:test"
import { type Auth, type ProtocolLevel, Reason } from "manju"
import { DisconnectedError, TestBroker, type TestMessage } from "manju/testing"

const levels = [3, 4, 5] as const
const topicsOf = (messages: readonly TestMessage[]) => messages.map(({ topic }) => topic)

/** Publishing to `no` is denied. */
const auth: Auth = { authenticate: () => true, authorize: (_, action, topic) => action !== "publish" || topic !== "no" }

describe("a client that connects", () => {
  for (const protocolLevel of levels)
    test(`level ${protocolLevel}: knows what the broker has said`, async () => {
      await using broker = new TestBroker()
      const { connack } = await broker.connect({ protocolLevel })
      expect(connack).toMatchObject({ reason: Reason.Success, isSessionPresent: false })
      expect(connack.properties).toEqual(protocolLevel === 5 ? expect.objectContaining({ topicAliasMaximum: 256 }) : {})
    })

  const refusals: [says: Reason, older: Reason | undefined][] = [
    [Reason.NotAuthorized, Reason.NotAuthorized],
    [Reason.BadUserNameOrPassword, Reason.BadUserNameOrPassword],
    [Reason.Banned, Reason.NotAuthorized],
    [Reason.ServerBusy, Reason.ServerUnavailable],
    [Reason.ClientIdentifierNotValid, Reason.ClientIdentifierNotValid],
    [Reason.UnsupportedProtocolVersion, Reason.UnsupportedProtocolVersion],
    [Reason.UnspecifiedError, undefined], // a connection that just ends
  ]
  for (const protocolLevel of levels)
    test(`level ${protocolLevel}: rejects with the reason when it is refused`, async () => {
      for (const [reason, older] of refusals) {
        await using broker = new TestBroker({ auth: { authenticate: () => ({ reason, reasonString: "not today" }) } })
        const error = await broker.connect({ protocolLevel }).catch((thrown) => thrown)
        expect(error).toMatchObject({ name: "RefusedError", reason: protocolLevel === 5 ? reason : older })
        if (protocolLevel === 5) expect(error.properties).toEqual({ reasonString: "not today" })
      }
    })

  test("says who it is, and what its CONNECT has beside that", async () => {
    let asked: unknown
    await using broker = new TestBroker({ auth: { authenticate: (client) => (asked = client) !== undefined } })
    const certificate = { commonName: "ada", subjectAltNames: ["DNS:ada"], fingerprint: "00" }
    const userProperties: [string, string][] = [
      ["b", "1"],
      ["a", "2"],
      ["b", "3"],
      ["__proto__", "4"],
    ]
    await broker.connect({
      clientId: "c",
      username: "ada",
      password: "pässword",
      cleanStart: false,
      keepAliveSeconds: 60,
      remoteAddress: "2001:db8::1",
      certificate,
      properties: { userProperties },
    })
    expect(asked).toMatchObject({
      clientId: "c",
      username: "ada",
      password: Buffer.from("pässword"),
      protocolLevel: 5,
      cleanStart: false,
      keepAliveSeconds: 60,
      userProperties,
      remoteAddress: "2001:db8::1",
      listener: "test",
      certificate,
    })
  })

  const impossible: [string, Parameters<TestBroker["connect"]>[0]][] = [
    ["a password without a user name", { password: "x" }],
    ["a session expiry before MQTT 5", { protocolLevel: 4, sessionExpirySeconds: 1 }],
    [
      "properties of a will before MQTT 5",
      { protocolLevel: 3, will: { topic: "t", payload: "", properties: { willDelaySeconds: 1 } } },
    ],
    ["a keep-alive of a day", { keepAliveSeconds: 86_400 }],
    ["a property that is none", { properties: { receiveMaximum: -1 } }],
  ]
  for (const [what, options] of impossible)
    test(`cannot say ${what}`, async () => {
      await using broker = new TestBroker()
      await expect(broker.connect(options)).rejects.toMatchObject({ code: "INVALID_OPTION" })
    })

  test("goes through an enhanced authentication", async () => {
    const exchange = () => ({
      next: (data: Uint8Array | undefined) =>
        String(data) === "4"
          ? ({ authenticated: true, username: "ada" } as const)
          : { challenge: Buffer.from("2 + 2") },
    })
    await using broker = new TestBroker({ auth: { authenticate: () => false, exchange } })
    const properties = { authenticationMethod: "SUMS", authenticationData: Buffer.from("hello") }
    const asked: string[] = []
    const answerChallenge = (challenge: Uint8Array | undefined) => {
      asked.push(String(challenge))
      return Buffer.from("4")
    }
    const client = await broker.connect({ properties, answerChallenge })
    expect(client.connack.properties.authenticationMethod).toBe("SUMS")
    expect(await client.reauthenticate()).toBe(Reason.Success)
    expect(asked).toEqual(["2 + 2", "2 + 2"])
    await expect(broker.connect({ properties })).rejects.toThrow("asks for more")
  })
})

describe("a client that publishes", () => {
  for (const protocolLevel of levels)
    for (const qos of [0, 1, 2] as const)
      test(`level ${protocolLevel}, QoS ${qos}: is told the reason, and the message has arrived`, async () => {
        await using broker = new TestBroker({ auth })
        const publisher = await broker.connect({ protocolLevel })
        const reader = await broker.connect()
        await reader.subscribe("yes", { qos: 2 })
        expect(await publisher.publish("yes", "a", { qos })).toBe(Reason.Success)
        await broker.settled()
        expect(reader.messages).toMatchObject([{ topic: "yes", qos, retain: false, dup: false }])
        if (qos === 0) return // nobody says anything to that
        expect(await publisher.publish("no", "a", { qos })).toBe(
          protocolLevel === 5 ? Reason.NotAuthorized : Reason.Success,
        )
        const toNobody = protocolLevel === 5 ? Reason.NoMatchingSubscribers : Reason.Success
        expect(await publisher.publish("elsewhere", "a", { qos })).toBe(toNobody)
      })

  test("sends bytes, text and every property, which come as they were", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect()
    await client.subscribe("t", { qos: 1, identifier: 268_435_455 })
    const properties = {
      payloadFormatIndicator: true,
      messageExpirySeconds: 60,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([0, 255]),
      userProperties: [
        ["a", "1"],
        ["a", "2"],
        ["b", ""],
      ] as [string, string][],
    }
    await client.publish("t", "grüße", { qos: 1, properties })
    const message = await client.nextMessage()
    expect(message.properties).toEqual({ ...properties, subscriptionIdentifiers: [268_435_455] })
    expect([message.text(), message.packetId]).toEqual(["grüße", 1])
    await client.publish("t", Uint8Array.of(1, 2, 255))
    expect((await client.nextMessage()).payload).toEqual(Buffer.from([1, 2, 255]))
    await client.publish("t", '{"a":[1]}')
    expect((await client.nextMessage()).json()).toEqual({ a: [1] })
  })

  test("sends a thousand at once, no more than the broker takes at a time", async () => {
    await using broker = new TestBroker({
      limits: { receiveMaximum: 3 },
      auth: { authenticate: () => true, authorize: async () => true },
    })
    const client = await broker.connect()
    const reasons = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => client.publish(`t/${i}`, "", { qos: i % 2 === 0 ? 1 : 2 })),
    )
    expect(new Set(reasons)).toEqual(new Set([Reason.NoMatchingSubscribers]))
  })

  test("cannot send properties before MQTT 5", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect({ protocolLevel: 4 })
    await expect(client.publish("t", "", { properties: { contentType: "x" } })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    })
    await expect(client.subscribe("t", { noLocal: true })).rejects.toMatchObject({ code: "INVALID_OPTION" })
    await expect(client.subscribe("t", { identifier: 1 })).rejects.toMatchObject({ code: "INVALID_OPTION" })
  })

  test("uses a topic alias", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect({ properties: { topicAliasMaximum: 5 } })
    await client.subscribe("t/#")
    await client.publish("t/1", "a", { properties: { topicAlias: 1 } })
    await client.publish("", "b", { properties: { topicAlias: 1 } })
    expect(client.messages.map((each) => `${each.topic} ${each.text()}`)).toEqual(["t/1 a", "t/1 b"])
  })
})

describe("a client that subscribes", () => {
  for (const protocolLevel of levels)
    test(`level ${protocolLevel}: is told what was granted, in order`, async () => {
      const auth: Auth = { authenticate: () => true, authorize: (_, __, topic) => topic !== "no" }
      await using broker = new TestBroker({ auth })
      const client = await broker.connect({ protocolLevel })
      const no = { 3: Reason.Success, 4: Reason.UnspecifiedError, 5: Reason.NotAuthorized }[protocolLevel] // 3.1 knows no failure
      expect(await client.subscribe(["a", "no", "b"], { qos: 2 })).toEqual([Reason.GrantedQoS2, no, Reason.GrantedQoS2])
      expect(await client.subscribe("c", { qos: 1 })).toEqual([Reason.GrantedQoS1])
      const none = protocolLevel === 5 ? Reason.NoSubscriptionExisted : Reason.Success
      expect(await client.unsubscribe(["a", "never"])).toEqual([Reason.Success, none])
      expect(await client.unsubscribe("b")).toEqual([Reason.Success])
    })

  test("has the options of MQTT 5", async () => {
    await using broker = new TestBroker()
    await broker.publish("r", "retained", { retain: true })
    const client = await broker.connect()
    await client.subscribe("r", { retainHandling: 2 })
    await client.subscribe("own", { noLocal: true })
    await client.publish("own", "")
    await client.subscribe("kept", { retainAsPublished: true })
    await broker.publish("kept", "", { retain: true })
    await client.subscribe("r")
    await broker.settled()
    expect(client.messages.map(({ topic, retain }) => `${topic} ${retain}`)).toEqual(["kept true", "r true"])
  })
})

describe("what a client has received", () => {
  test("is all there, and is given out one by one", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect()
    await client.subscribe("#")
    const early = client.nextMessage()
    for (const topic of ["a", "b", "c"]) await broker.publish(topic, "")
    expect((await early).topic).toBe("a")
    expect((await client.nextMessage()).topic).toBe("b")
    expect(topicsOf(client.messages)).toEqual(["a", "b", "c"])
    await client.drop()
    expect((await client.nextMessage()).topic).toBe("c")
    await expect(client.nextMessage()).rejects.toBeInstanceOf(DisconnectedError)
  })

  for (const qos of [1, 2] as const)
    test(`is acknowledged when the test says so, QoS ${qos}`, async () => {
      await using broker = new TestBroker()
      const client = await broker.connect({ acknowledge: false, properties: { receiveMaximum: 1 } })
      await client.subscribe("#", { qos })
      for (const topic of ["a", "b", "c"]) await broker.publish(topic, "", { qos })
      await broker.settled()
      expect(topicsOf(client.messages)).toEqual(["a"])
      client.acknowledge(client.messages[0]!)
      await broker.settled()
      expect(topicsOf(client.messages)).toEqual(["a", "b"])
      client.acknowledge(client.messages[1]!, Reason.QuotaExceeded)
      await broker.settled()
      expect(topicsOf(client.messages)).toEqual(["a", "b", "c"])
    })

  test("comes again, as what it is, when it was not acknowledged", async () => {
    await using broker = new TestBroker()
    const lasting = { clientId: "lasting", sessionExpirySeconds: 60, cleanStart: false }
    const before = await broker.connect({ ...lasting, acknowledge: false })
    await before.subscribe("#", { qos: 1 })
    await broker.publish("a", "", { qos: 1 })
    const { packetId } = await before.nextMessage()
    await before.drop()
    const after = await broker.connect(lasting)
    expect(await after.nextMessage()).toMatchObject({ topic: "a", dup: true, packetId: packetId! })
  })

  test("waits with the broker while the client does not read", async () => {
    await using broker = new TestBroker({ limits: { maximumBacklogBytes: 1024 } })
    const client = await broker.connect()
    await client.subscribe("#")
    client.stopReading()
    for (let sent = 0; sent < 100; sent++) await broker.publish(`t/${sent}`, Buffer.alloc(100))
    await broker.settled()
    expect(client.messages).toEqual([])
    client.readOn()
    await broker.settled()
    expect(client.messages.length).toBeWithin(1, 50) // the rest was QoS 0, and dropped
  })
})

describe("the end of a client", () => {
  const will = { topic: "will", payload: "lost" }

  async function watched() {
    const broker = new TestBroker()
    const watcher = await broker.connect()
    await watcher.subscribe("#")
    return { broker, watcher, [Symbol.asyncDispose]: () => broker.close() }
  }

  for (const protocolLevel of levels)
    test(`level ${protocolLevel}: it says goodbye, and its will is forgotten`, async () => {
      await using scene = await watched()
      const client = await scene.broker.connect({ protocolLevel, will })
      const leaving = client.disconnect()
      expect(client.isConnected).toBe(false)
      await leaving
      expect(await client.closed).toEqual({ reason: Reason.Success, by: "client", properties: {} })
      expect(scene.watcher.messages).toEqual([])
    })

  test("it says goodbye, but wants its will", async () => {
    await using scene = await watched()
    const client = await scene.broker.connect({ will })
    await client.disconnect(Reason.DisconnectWithWill)
    expect(topicsOf(scene.watcher.messages)).toEqual(["will"])
  })

  test("it says for how long its session is kept", async () => {
    await using broker = new TestBroker()
    const lasting = { clientId: "a", sessionExpirySeconds: 3600, cleanStart: false }
    await (await broker.connect(lasting)).disconnect(Reason.Success, { sessionExpirySeconds: 10 })
    broker.clock.advance(11)
    expect((await broker.connect(lasting)).connack.isSessionPresent).toBe(false)
  })

  test("it cannot say what only a broker says", async () => {
    await using broker = new TestBroker()
    const [modern, older] = [await broker.connect(), await broker.connect({ protocolLevel: 4 })]
    await expect(modern.disconnect(Reason.ServerShuttingDown)).rejects.toMatchObject({ code: "INVALID_OPTION" })
    await expect(older.disconnect(Reason.DisconnectWithWill)).rejects.toMatchObject({ code: "INVALID_OPTION" })
    expect([modern.isConnected, older.isConnected]).toEqual([true, true])
  })

  test("its stream breaks, and its will is due", async () => {
    await using scene = await watched()
    const client = await scene.broker.connect({ will })
    await client.drop()
    expect([client.isConnected, client.disconnection]).toEqual([
      false,
      { reason: undefined, by: "network", properties: {} },
    ])
    expect(topicsOf(scene.watcher.messages)).toEqual(["will"])
  })

  test("the broker ends it, and says why", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect({ clientId: "twin" })
    const [early] = [client.closed, await broker.connect({ clientId: "twin" })]
    expect(await early).toMatchObject({ reason: Reason.SessionTakenOver, by: "broker" })
    expect(client.disconnection?.properties.reasonString).toBe("session taken over")
  })

  test("bytes that are no MQTT end it", async () => {
    await using broker = new TestBroker()
    const client = await broker.connect()
    client.sendBytes(Buffer.from("00", "hex"))
    client.sendBytes(Buffer.from("00", "hex"))
    expect(await client.closed).toMatchObject({ reason: Reason.ProtocolError })
  })

  test("whoever waits for an answer is told; whoever does not, is not", async () => {
    const never = new Promise<boolean>(() => {})
    await using broker = new TestBroker({ auth: { authenticate: () => true, authorize: () => never } })
    const client = await broker.connect()
    const waiting = [
      client.subscribe("a"),
      client.publish("a", "", { qos: 1 }),
      client.publish("a", "", { qos: 2 }),
      client.unsubscribe("a"),
      client.ping(),
      client.nextMessage(),
    ]
    for (const ignored of [client.ping(), client.nextMessage(), client.publish("b", "", { qos: 1 })]) void ignored
    await client.drop()
    for (const answer of waiting) await expect(answer).rejects.toBeInstanceOf(DisconnectedError)
    await expect(client.publish("a", "")).rejects.toThrow("disconnected")
    expect(() => client.acknowledge({ qos: 1, packetId: 1 } as TestMessage)).toThrow(DisconnectedError)
  })
})

describe("nothing happens within what has caused it", () => {
  test("what a client sends arrives later, and so does what it gets", async () => {
    let asked = 0
    const auth: Auth = { authenticate: () => true, authorize: () => ++asked > 0 }
    await using broker = new TestBroker({ auth })
    const client = await broker.connect()
    await client.subscribe("#")
    asked = 0
    const publishing = client.publish("t", "")
    expect([asked, client.messages.length]).toEqual([0, 0])
    const published = broker.publish("u", "")
    expect(client.messages.length).toBe(0)
    await Promise.all([publishing, published])
    expect(topicsOf(client.messages)).toEqual(["u", "t"])
  })

  test("nor does a client get anything while the broker is still at work on what goes before", async () => {
    const counts: number[] = []
    const auth: Auth = {
      authenticate: () => true,
      authorize: (_, action) => action !== "publish" || counts.push(reader.messages.length) > 0,
    }
    await using broker = new TestBroker({ auth })
    const [reader, publisher] = [await broker.connect(), await broker.connect()]
    await reader.subscribe("#")
    const payload = Buffer.alloc(50_000) // of which the broker does not gather many before it writes
    await Promise.all([1, 2, 3, 4].map((number) => publisher.publish(`t/${number}`, payload)))
    expect(counts).toEqual([0, 0, 0, 0])
    expect(reader.messages.length).toBe(4)
  })

  test("a client may publish from within a hook, and so may the broker", async () => {
    await using broker = new TestBroker()
    const [watcher, publisher] = [await broker.connect(), await broker.connect()]
    await watcher.subscribe("#")
    const seen: string[] = []
    broker.use({
      onMessage({ topic }) {
        seen.push(topic)
        if (topic === "question") void watcher.publish("answer", "")
        seen.push("asked")
      },
      onDelivered({ topic }) {
        if (topic === "answer") void broker.publish("heard", "")
      },
    })
    expect(await publisher.publish("question", "", { qos: 1 })).toBe(Reason.Success)
    await broker.settled()
    expect(topicsOf(watcher.messages)).toEqual(["question", "answer", "heard"])
    expect(seen).toEqual(["question", "asked", "answer", "asked"])
  })

  test("a client may publish, subscribe and go from within a question of the broker's", async () => {
    const levels: ProtocolLevel[] = []
    let isWithin = false
    const auth: Auth = {
      authenticate: () => true,
      authorize(client, action, topic) {
        expect(isWithin).toBe(false)
        isWithin = true
        levels.push(client.protocolLevel)
        if (action === "publish" && topic === "question") {
          void other.publish("answer", "within")
          void other.subscribe("more")
          void publisher.publish("another", "")
          void other.disconnect()
        }
        isWithin = false
        return true
      },
    }
    await using broker = new TestBroker({ auth })
    const [watcher, publisher, other] = [await broker.connect(), await broker.connect(), await broker.connect()]
    await watcher.subscribe("#")
    await publisher.publish("question", "")
    expect(topicsOf(watcher.messages)).toEqual(["question", "answer", "another"])
    expect(other.disconnection).toMatchObject({ by: "client" })
  })
})

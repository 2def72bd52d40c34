/**
 * A connection of `manju pub` or `manju sub` to a broker, by MQTT.js.
 *
 * The first attempt is made once: what hinders it is the end. Later, a connection that is lost is made again every second, as
 * long as that may help, and only where it was asked for: not after a mistake of ours that would be made again, nor where
 * somebody has taken the session over. MQTT.js keeps what is not acknowledged meanwhile, and sends it again.
 *
 * MQTT.js is loaded when the first connection opens, so that no other command pays for it.
 */
import type { IClientOptions, IConnackPacket, IDisconnectPacket, MqttClient } from "mqtt"
import { type ProtocolLevel, Reason } from "../../codec/index.ts"
import { CommandFailure } from "../failure.ts"
import { describePlace, type Place } from "./place.ts"
import type { Settings } from "./settings.ts"
import { because, connectFailure, isPassing, refusalReason } from "./trouble.ts"

const RECONNECT_EVERY_MS = 1000
/** How long the broker has to answer. */
const PATIENCE_MS = 30_000
/** How long a goodbye may take. */
const GOODBYE_MS = 2000

/** Thrown, as it were, at MQTT.js for a message that is not taken: it is not acknowledged then. */
export const notTaken = new Error("not taken")

type MqttError = Error & { code?: number | string }

export class Connection {
  readonly client: MqttClient
  readonly connack: IConnackPacket
  /** Rejects with a `CommandFailure` when the connection has ended and will not come back. */
  readonly lost: Promise<never>
  private readonly settings: Settings
  private readonly rejectLost: (failure: CommandFailure) => void
  /** Since it was lost, until it is there again. */
  private isOffline = false
  private isClosing = false
  private returned: (connack: IConnackPacket) => void = () => {}
  /** What the broker, or an error, has said before the connection ended. */
  private lastWords: string | undefined

  private constructor(client: MqttClient, connack: IConnackPacket, settings: Settings) {
    this.client = client
    this.connack = connack
    this.settings = settings
    const { promise, reject } = Promise.withResolvers<never>()
    this.lost = promise
    this.rejectLost = reject
    promise.catch(() => {}) // nobody need wait for it
    client.on("disconnect", (packet) => this.onDisconnect(packet))
    client.on("error", (error) => this.onError(error))
    client.on("close", () => this.onClose())
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack" && (packet.reasonCode ?? packet.returnCode) === 0) this.onConnack(packet)
    })
    if (settings.reconnects) client.options.reconnectPeriod = RECONNECT_EVERY_MS
  }

  /**
   * `prepare` is called with the client before anything can come. Rejects with a `CommandFailure` that says why there is no
   * connection.
   */
  static async open(settings: Settings, prepare: (client: MqttClient) => void = () => {}): Promise<Connection> {
    const { connect } = await import("mqtt")
    for (const level of settings.levels) {
      try {
        const client = connect({ ...optionsOf(settings, level), reconnectPeriod: 0, connectTimeout: PATIENCE_MS })
        prepare(client)
        return new Connection(client, await answerOf(client, settings.place), settings)
      } catch (error) {
        const isUnspoken = error instanceof Refused && error.reason === Reason.UnsupportedProtocolVersion
        if (!isUnspoken || level === settings.levels.at(-1)) throw error
      }
    }
    throw new RangeError("no level was given")
  }

  /** Calls back whenever the broker has let it in again, before anything is sent. */
  onReturn(callback: (connack: IConnackPacket) => void): void {
    this.returned = callback
  }

  /**
   * Says goodbye, without waiting for acknowledgements that are still to come, and ends. Resolves when the broker has got
   * that, or after two seconds.
   */
  async close(): Promise<void> {
    if (this.isClosing) return
    this.isClosing = true
    for (const id of Object.keys(this.client.outgoing)) this.client.removeOutgoingMessage(Number(id))
    // MQTT.js would answer what still comes, on a stream that it has ended, and that would break the connection.
    this.client.stream.unpipe()
    this.client.stream.resume()
    const { promise, resolve } = Promise.withResolvers<void>()
    const properties = this.settings.properties.get("disconnect")
    this.client.end(false, { reasonCode: Reason.Success, ...(properties && { properties }) }, () => resolve())
    await Promise.race([promise, Bun.sleep(GOODBYE_MS)])
  }

  private onConnack(connack: IConnackPacket): void {
    this.lastWords = undefined
    this.isOffline = false
    this.settings.tell(`${this.place} is there again`)
    this.returned(connack)
  }

  private onDisconnect({ reasonCode = Reason.Success, properties }: IDisconnectPacket): void {
    this.lastWords = because(reasonCode, properties?.reasonString)
    if (!isPassing(reasonCode)) this.end(`${this.place} ended the connection: ${this.lastWords}`)
  }

  private onError(error: MqttError): void {
    if (error === notTaken || this.isClosing) return
    if (typeof error.code === "number") {
      const isRefusal = error.message.startsWith("Connection refused")
      this.client.options.reconnectOnConnackError = isRefusal && isPassing(error.code)
      if (!this.client.options.reconnectOnConnackError) {
        this.end(`${this.place} ${isRefusal ? "refused the connection" : "made a mistake"}: ${because(error.code)}`)
      }
    } else if (error.code === undefined && !/timeout$/.test(error.message)) {
      this.end(`${this.place} sent what is not MQTT: ${error.message}`)
    }
    this.lastWords ??= error.message
  }

  private onClose(): void {
    if (this.isClosing || this.isOffline) return
    this.isOffline = true
    const reason = this.lastWords === undefined ? "" : `: ${this.lastWords}`
    if (!this.settings.reconnects) this.end(`${this.place} ended the connection${reason}`)
    else this.settings.tell(`the connection to ${this.place} is lost${reason}; trying again`)
  }

  private get place(): string {
    return describePlace(this.settings.place)
  }

  private end(message: string): void {
    this.rejectLost(new CommandFailure(message))
  }
}

/** A CONNACK that says no. */
class Refused extends CommandFailure {
  readonly reason: number

  constructor(message: string, reason: number) {
    super(message)
    this.reason = reason
  }
}

/** The CONNACK that lets it in. */
function answerOf(client: MqttClient, place: Place): Promise<IConnackPacket> {
  const { promise, resolve, reject } = Promise.withResolvers<IConnackPacket>()
  let reasonString: string | undefined
  let first: MqttError | undefined
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "connack") reasonString = packet.properties?.reasonString
  })
  client.on("error", (error: MqttError) => (first ??= error))
  client.on("close", () => {
    const { code } = first ?? {}
    if (typeof code !== "number") return reject(connectFailure(place, first as NodeJS.ErrnoException | undefined))
    const message = `${describePlace(place)} refused the connection: ${because(code, reasonString)}`
    return reject(new Refused(message, refusalReason(code)))
  })
  client.on("connect", resolve)
  return promise
}

function optionsOf({ place, options }: Settings, level: ProtocolLevel): IClientOptions {
  const version: IClientOptions = { protocolVersion: level, protocolId: level === 3 ? "MQIsdp" : "MQTT" }
  const { scheme, host, port, path } = place
  if (scheme === "unix") return { ...options, ...version, protocol: "mqtt", unixSocket: true, path }
  return { ...options, ...version, protocol: scheme, host, port, path }
}

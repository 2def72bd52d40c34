/**
 * What a client knows of its session at the broker, and what it wants of it. A broker that has once said CONNACK must know
 * the session until the client ends it; whether a CONNECT that was not answered has been acted upon, nobody knows.
 */
import type { Random } from "../bytes.ts"
import type { Client } from "./role.ts"

type Presence = "yes" | "no" | "either"

export class Claim {
  /** Whether the next CONNACK must tell of a session. */
  expected: Presence = "no"
  /** Whether the session outlives the connection that was asked for last. */
  isLasting = false
  private present: Presence = "no"
  /** Kept until a CONNACK says that it is so. */
  private wish: "go on" | "begin anew" | "end with the connection" = "go on"
  private readonly client: Client
  private readonly random: Random

  constructor(client: Client, random: Random) {
    this.client = client
    this.random = random
  }

  /** Wants no more of the session, now and then. */
  waver(): void {
    const { random } = this
    if (this.wish === "go on" && random.chance(0.3)) this.wish = random.pick(["begin anew", "end with the connection"])
  }

  /** The client connects; gives Clean Start. */
  ask(): boolean {
    const { level, isVisitor } = this.client
    const endsWithConnection = isVisitor || this.wish === "end with the connection"
    const isClean = isVisitor || this.wish === "begin anew" || (level === 4 && endsWithConnection)
    // With 3.1.1 what begins with the connection ends with it.
    this.isLasting = !endsWithConnection && !(level === 4 && isClean)
    this.expected = isClean ? "no" : this.present
    this.present = this.expected === "yes" && this.isLasting ? "yes" : "either"
    return isClean
  }

  /** The client is in; false if the broker has not told the truth about its session. */
  accept(sessionPresent: boolean): boolean {
    this.present = this.isLasting ? "yes" : "no"
    this.wish = "go on"
    return this.expected === "either" || sessionPresent === (this.expected === "yes")
  }
}

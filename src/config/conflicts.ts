/**
 * Values that are good each, and do not go together: what would not work, or would be open to others without anybody having said so.
 *
 * A conflict is told of in the words of whoever has made it: flags, where a flag has; keys, where the file has.
 */

import { isLoopback } from "../hostname.ts"
import { flags } from "./flags.ts"
import { EVERY, keyName, type Path, schemaAt, variableOf } from "./keys.ts"
import type { Problem } from "./problems.ts"
import {
  byDefault,
  itemsOf,
  type Leaf,
  type Node,
  nameOf,
  nearestTo,
  nodeAt,
  type Source,
  type Table,
  valueAt,
} from "./tree.ts"

/** What is wrong, and what is merely to be told. */
export interface Conflicts {
  readonly problems: Problem[]
  readonly warnings: Problem[]
}

/** Somewhere MQTT comes in: a listener, or what is for WebSockets on one for HTTP. */
interface Door {
  readonly path: Path
  /** The listener. */
  readonly item: Table
  readonly type: string
  /** Whose auth holds: its own, or that of all. */
  readonly authPath: Path
}

const proofs = ["passwords", "jwt", "http"]
const says = ["allowAnonymous", ...proofs, "acl"]

/** Of a tree that is complete; values of the wrong type may be in it. */
export function conflictsOf(tree: Table): Conflicts {
  const finder = new Finder(tree)
  finder.find()
  return finder
}

class Finder implements Conflicts {
  readonly problems: Problem[] = []
  readonly warnings: Problem[] = []
  private readonly tree: Table
  private readonly doors: readonly Door[]

  constructor(tree: Table) {
    this.tree = tree
    this.doors = itemsOf(tree).flatMap((item, at) => doorOf(tree, item, ["listeners", at]))
  }

  find(): void {
    for (const door of this.doors) {
      this.checkGuard(door)
      this.checkCertificates(door)
      this.checkSaying(door)
    }
    this.checkNames()
    this.checkTokens()
    this.checkPlaces()
    this.checkUse()
  }

  /** Somebody has said who may connect, or nobody but this machine can. */
  private checkGuard(door: Door): void {
    const { item, authPath } = door
    const host = nodeAt(item, ["hostname"])
    const isTold = this.proves(door) || this.valueOf([...authPath, "allowAnonymous"]) === true || has(item, "tls", "ca")
    const refused = nodeAt(this.tree, [...authPath, "allowAnonymous"])
    if (!isTold && refused !== undefined) {
      const say = this.names(refused.source, door)
      this.refuse(
        refused,
        `${say.auth("allowAnonymous")} false lets nobody in: give some of ${proofs.map((name) => say.auth(name)).join(", ")}`,
      )
    } else if (!isTold && host?.kind === "leaf" && !isLoopback(host.value)) {
      const say = this.names(host.source, door)
      const others = `${this.proofNames(say)}, or let everybody in with ${say.auth("allowAnonymous")}`
      this.refuse(host, `${isOpen(say.host(), host)} may connect: give ${others}`)
    } else if (this.believesNames(door) && host?.kind === "leaf" && !isLoopback(host.value)) {
      const say = this.names(host.source, door)
      const remedy = `give ${say.auth("passwords")} or ${say.own("usernameFrom")}, or ${say.auth("allowAnonymous")} for who names no user`
      this.refuse(host, `${isOpen(say.host(), host)} is who, which ${say.auth("acl")} goes by: ${remedy}`)
    }
  }

  /** An auth of a listener's own takes the place of that of all, so that an empty one would open what that guards. */
  private checkSaying({ authPath }: Door): void {
    const auth = nodeAt(this.tree, authPath)
    if (authPath.length === 1 || auth?.kind !== "table") return
    if (says.some((name) => auth.entries.has(name))) return
    this.refuse(auth, `${nameOf(authPath, auth.source)} says nothing: leave it out, or give some of ${says.join(", ")}`)
  }

  private checkCertificates(door: Door): void {
    const { item, authPath } = door
    const usernameFrom = nodeAt(item, ["usernameFrom"])
    const anonymous = nodeAt(this.tree, [...authPath, "allowAnonymous"])
    const proxy = nodeAt(item, ["proxy"])
    if (usernameFrom !== undefined) {
      const say = this.names(usernameFrom.source, door)
      if (!has(item, "tls", "ca")) {
        this.refuse(
          usernameFrom,
          `${say.own("usernameFrom")} needs ${say.own("tls", "ca")}: whose certificates to believe`,
        )
      }
      if (anonymous?.kind === "leaf" && anonymous.value === true) {
        const all = this.names(anonymous.source, door).auth("allowAnonymous")
        this.refuse(anonymous, `with ${say.own("usernameFrom")} everybody has a user name: ${all} lets nobody in`)
      }
    }
    if (proxy !== undefined && item.entries.has("tls")) {
      const say = this.names(proxy.source, door)
      this.refuse(proxy, `${say.own("proxy")} and ${say.own("tls")} do not go together: let the proxy speak TLS`)
    }
  }

  /** Rules go by names. At a door that others can reach something has to prove those; at another it is told that nothing does. */
  private checkNames(): void {
    const groups = Map.groupBy(this.doors, ({ authPath }) => keyName(authPath))
    for (const doors of groups.values()) {
      const believing = doors.filter((door) => this.believesNames(door))
      const [first] = believing
      const acl = first && nodeAt(this.tree, [...first.authPath, "acl"])
      if (acl === undefined) continue
      const say = this.names(acl.source, first!)
      const where = believing.length === doors.length ? "" : `at ${believing.map(addressOf).join(", ")} `
      const text = `${say.auth("acl")} without ${say.auth("passwords")}: ${where}anybody can take any user's name`
      this.warnings.push({ source: acl.source, text })
    }
  }

  private checkTokens(): void {
    const auths = new Set([["auth"], ...this.doors.map(({ authPath }) => authPath)].map((path) => JSON.stringify(path)))
    for (const path of Array.from(auths, (text) => [...JSON.parse(text), "jwt"] as Path)) {
      const jwt = nodeAt(this.tree, path)
      if (jwt?.kind !== "table") continue
      const given = ["secret", "key", "jwks"].filter((name) => jwt.entries.has(name))
      if (given.length === 1) continue
      const text = `takes one of secret, key and jwks, not ${given.length === 0 ? "none" : given.join(" and ")}`
      this.refuse(jwt, `${nameOf(path, jwt.source)} ${text}`)
    }
  }

  /** No two listeners have the same name, or the same place. */
  private checkPlaces(): void {
    const taken = new Map<string, string>()
    for (const [at, item] of itemsOf(this.tree).entries()) {
      const place = item.entries.has("port") ? "port" : "path"
      for (const key of ["id", place]) {
        const node = item.entries.get(key)
        if (node?.kind !== "leaf" || node.value === 0) continue
        const source = node.source.kind === "default" ? item.source : node.source
        const name = nameOf(["listeners", at, key], node.source)
        const what = `${key} ${node.value} ${key === "port" ? valueAt(item, "hostname") : ""}`
        const other = taken.get(what)
        if (other !== undefined)
          this.problems.push({ source, text: `${name} ${node.value} is what ${other} is already` })
        else taken.set(what, name)
      }
    }
  }

  /** Nothing is given in vain. */
  private checkUse(): void {
    const { tree, doors } = this
    if (doors.length === 0) {
      const source = tree.entries.get("listeners")?.source ?? byDefault
      const remedy =
        source.kind === "default"
          ? "leave --no-tcp out, or give --unix"
          : "there is no listener of type tcp, unix or websocket"
      this.problems.push({ source, text: `nothing is left for MQTT to listen on: ${remedy}` })
      return
    }
    const user = nodeAt(tree, ["admin", "user"])
    const isNamed = user?.kind === "leaf" && user.value !== schemaAt(["admin", "user"])!.default
    if (isNamed && !has(tree, "admin", "password")) {
      const password = user.source.kind === "variable" ? variableOf(["admin", "password"]) : "admin.password"
      this.refuse(user, `${nameOf(["admin", "user"], user.source)} takes ${password} beside it`)
    }
    if (doors.some(({ authPath }) => authPath.length === 1)) return
    const auth = nodeAt(tree, ["auth"])
    for (const [name, node] of auth?.kind === "table" ? auth.entries : []) {
      if (node.source.kind !== "flag") continue
      this.refuse(
        node,
        `${nameOf(["auth", name], node.source)} is for listeners without an auth of their own, and there are none`,
      )
    }
  }

  /** Whether something proves who a client is. */
  private proves({ authPath }: Door): boolean {
    return proofs.some((name) => has(this.tree, ...authPath, name))
  }

  /** Whether access rules go by user names that nothing proves. */
  private believesNames(door: Door): boolean {
    const { item, authPath } = door
    if (!has(this.tree, ...authPath, "acl") || this.proves(door) || item.entries.has("usernameFrom")) return false
    return this.valueOf([...authPath, "allowAnonymous"]) !== true
  }

  private valueOf(path: Path): unknown {
    return valueAt(this.tree, ...path)
  }

  private refuse({ source }: Node, text: string): void {
    this.problems.push({ source, text })
  }

  private proofNames(say: Names): string {
    return [...(say.isFlag ? ["passwords"] : proofs).map((name) => say.auth(name)), say.own("tls", "ca")].join(", ")
  }

  /** How the one who has given something calls the keys of a door. */
  private names(source: Source, door: Door): Names {
    const called = (path: Path) => {
      if (source.kind === "flag") return flagOf(path) ?? keyName(path)
      return source.kind === "variable" ? variableOf(path) : keyName(inFile(this.tree, path))
    }
    return {
      isFlag: source.kind === "flag",
      auth: (...names) => called([...door.authPath, ...names]),
      own: (...names) => called([...listenerOf(door), ...names]),
      host: () => nameOf([...listenerOf(door), "hostname"], source),
    }
  }
}

interface Names {
  readonly isFlag: boolean
  readonly auth: (...names: string[]) => string
  readonly own: (...names: string[]) => string
  readonly host: () => string
}

function doorOf(tree: Table, item: Table, path: Path): Door[] {
  const type = String(valueAt(item, "type"))
  const at = type === "http" ? [...path, "websocket"] : path
  const own = [...at, "auth"]
  if (nodeAt(tree, at) === undefined) return []
  return [{ path: at, item, type, authPath: nodeAt(tree, own) === undefined ? ["auth"] : own }]
}

function listenerOf({ path }: Door): Path {
  return path.slice(0, 2)
}

/** `/run/manju.sock`, or the address. */
function addressOf({ item }: Door): string {
  return String(valueAt(item, "path") ?? `${valueAt(item, "hostname")}:${valueAt(item, "port")}`)
}

function has(node: Node, ...path: Path): boolean {
  return nodeAt(node, path) !== undefined
}

/** The flag that sets a key. */
function flagOf(path: Path): string | undefined {
  const key = path.map((step) => (typeof step === "number" ? EVERY : step)).join(".")
  return flags.find((flag) => flag.path.join(".") === key)?.spelling.split(" ")[0]
}

/** Where a listener stands in the file, if it does. */
function inFile(tree: Table, path: Path): Path {
  const { source } = nearestTo(tree, path.slice(0, 2))
  return source.kind === "file" && path[0] === "listeners" ? [...source.path, ...path.slice(2)] : path
}

function isOpen(name: string, { value }: Leaf): string {
  return `${name} ${value} can be reached by others, and nothing says who`
}

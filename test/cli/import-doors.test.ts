/** Whom imported listeners let in: those whom Mosquitto lets in, or fewer. */
import { describe, expect, test } from "bun:test"
import { imported, NOBODY } from "../support/imported.ts"

const tls = ["certfile /c.pem", "keyfile /k.pem"]
const clients = ["cafile /ca.pem", "require_certificate true"]

/** Where the listeners are, and the auth that holds there. */
async function doorsOf(...lines: string[]) {
  const { values } = await imported(lines.join("\n"))
  return values.listeners.map((listener) => {
    const { hostname, port, path, auth = values.auth } = listener as Record<string, unknown> & { auth?: object }
    const { verificationsAtOnce: _, ...said } = auth as Record<string, unknown>
    return [path ?? `${hostname}:${port}`, said]
  })
}

describe("listens where Mosquitto does:", () => {
  const anybody = { allowAnonymous: true }
  const cases: [lines: string[], places: string[]][] = [
    [[], ["127.0.0.1:1883"]],
    [["listener 1883"], ["0.0.0.0:1883"]],
    [["listener 1883 # all of them"], ["0.0.0.0:1883"]],
    [["listener 1883 192.0.2.1"], ["192.0.2.1:1883"]],
    [["listener 1883", "socket_domain ipv4"], ["0.0.0.0:1883"]],
    [
      ["listener 1883 ::1", "listener 1884"],
      ["::1:1883", "0.0.0.0:1884"],
    ],
    [["listener 0 /run/mosquitto.sock"], ["/run/mosquitto.sock"]],
    [["port 1885"], ["0.0.0.0:1885"]],
    [["bind_address 127.0.0.1"], ["127.0.0.1:1883"]],
    [
      ["port 1885", "bind_address 127.0.0.1", "listener 1886"],
      ["127.0.0.1:1885", "0.0.0.0:1886"],
    ],
    [
      ["listener 1886", "port 1885"],
      ["0.0.0.0:1885", "0.0.0.0:1886"],
    ],
    // What is said before any listener opens the standard one, too, unless it says what holds anyway.
    [
      ["max_connections 5", "listener 1886"],
      ["0.0.0.0:1883", "0.0.0.0:1886"],
    ],
    [["max_connections -1", "max_qos 2", "protocol mqtt", "listener 1886"], ["0.0.0.0:1886"]],
    [["max_topic_alias 5", "listener 1886"], ["0.0.0.0:1886"]],
  ]
  test.each(cases)("%j", async (lines, places) => {
    const doors = await doorsOf("allow_anonymous true", ...lines)
    expect(doors).toEqual(places.map((place) => [place, anybody]))
  })

  test("what is said of the standard listener, which is not opened, is told", async () => {
    const { left } = await imported("allow_anonymous true\nmax_topic_alias 5\nlistener 1886\n")
    const why = "it is about the listener without the word listener, which is not opened"
    expect(left).toEqual([{ said: "max_topic_alias 5", kind: "needless", why }])
  })
})

describe("lets in whom Mosquitto lets in:", () => {
  const users = { passwords: "/users" }
  const nobody = { passwords: NOBODY }
  const cases: [what: string, lines: string[], auth: object][] = [
    ["without a listener everybody of the machine", [], { allowAnonymous: true }],
    ["without a listener users, and who names none", ["password_file /users"], { ...users, allowAnonymous: true }],
    ["nobody where nothing is said", ["listener 1883"], nobody],
    ["nobody where nothing is said, on loopback, too", ["listener 1883 127.0.0.1"], nobody],
    ["nobody where nothing is said, on a socket, too", ["listener 0 /run/x.sock"], nobody],
    ["nobody by rules alone", ["listener 1883", "acl_file /acl"], nobody],
    ["nobody by a certificate alone", ["listener 8883", ...tls, ...clients], nobody],
    ["everybody", ["listener 1883", "allow_anonymous true"], { allowAnonymous: true }],
    ["users", ["listener 1883", "password_file /users"], users],
    [
      "users, and who names none",
      ["listener 1883", "password_file /users", "allow_anonymous 1"],
      { ...users, allowAnonymous: true },
    ],
    ["users by rules", ["listener 1883", "password_file /users", "acl_file /acl"], { ...users, acl: "/acl" }],
    [
      "who names no user, by rules",
      ["listener 1883", "allow_anonymous true", "acl_file /acl"],
      { allowAnonymous: true, acl: "/acl" },
    ],
    [
      "on loopback everybody, by rules",
      ["listener 1883 ::1", "allow_anonymous true", "acl_file /acl"],
      { acl: "/acl" },
    ],
    ["users with a certificate", ["listener 8883", ...tls, ...clients, "password_file /users"], users],
    [
      "who has a certificate, as whom it names",
      ["listener 8883", ...tls, ...clients, "use_identity_as_username true"],
      {},
    ],
    [
      "the same by rules",
      ["listener 8883", ...tls, ...clients, "use_identity_as_username true", "acl_file /acl"],
      { acl: "/acl" },
    ],
    [
      "nobody by names of certificates that nobody is asked for",
      ["listener 8883", ...tls, "use_identity_as_username true", "password_file /users"],
      nobody,
    ],
    [
      "nobody by certificates of no authority",
      ["listener 8883", ...tls, "require_certificate true", "allow_anonymous true"],
      nobody,
    ],
  ]
  test.each(cases)("%s", async (_, lines, auth) => {
    expect((await doorsOf(...lines)).map(([, each]) => each)).toEqual([auth])
  })

  test("allow_anonymous false holds without a listener, too, where Mosquitto passes over it", async () => {
    const { values, left } = await imported("allow_anonymous false\n")
    expect(values.listeners).toMatchObject([{ hostname: "127.0.0.1", auth: { passwords: NOBODY } }])
    expect(left).toMatchObject([{ said: "allow_anonymous false", kind: "narrower" }])
  })
})

describe("per_listener_settings", () => {
  const lines = ["password_file /users", "listener 1883", "listener 1884", "allow_anonymous true", "acl_file /acl"]

  test("false: what is said under a listener is said of all", async () => {
    const auth = { passwords: "/users", allowAnonymous: true, acl: "/acl" }
    expect(await doorsOf("per_listener_settings false", ...lines)).toEqual([
      ["0.0.0.0:1883", auth],
      ["0.0.0.0:1884", auth],
    ])
  })

  test("true: it is said of that one", async () => {
    expect(
      await doorsOf("per_listener_settings true", ...lines.slice(1), "listener 1885", "password_file /users"),
    ).toEqual([
      ["0.0.0.0:1883", { passwords: NOBODY }],
      ["0.0.0.0:1884", { allowAnonymous: true, acl: "/acl" }],
      ["0.0.0.0:1885", { passwords: "/users" }],
    ])
    expect((await doorsOf("per_listener_settings true", ...lines))[0]).toEqual([
      "0.0.0.0:1883",
      { passwords: "/users" },
    ])
  })

  test("a plugin of one listener closes that one, one of all closes all", async () => {
    const anybody = ["listener 1883", "allow_anonymous true", "listener 1884", "allow_anonymous true"]
    const auths = async (...lines: string[]) => (await doorsOf(...lines)).map(([, auth]) => auth)
    const [open, shut] = [{ allowAnonymous: true }, { passwords: NOBODY }]
    expect(await auths("per_listener_settings true", ...anybody, "plugin /x.so")).toEqual([open, shut])
    expect(await auths("per_listener_settings true", ...anybody, "global_plugin /x.so")).toEqual([shut, shut])
    expect(await auths(...anybody, "plugin /x.so")).toEqual([shut, shut])
    expect(await auths(...anybody, "listener_allow_anonymous false", "plugin_use x")).toEqual([open, shut])
  })

  test("listener_allow_anonymous counts more than allow_anonymous", async () => {
    const lines = ["allow_anonymous true", "listener 1883", "listener_allow_anonymous false", "listener 1884"]
    expect(await doorsOf(...lines)).toEqual([
      ["0.0.0.0:1883", { passwords: NOBODY }],
      ["0.0.0.0:1884", { allowAnonymous: true }],
    ])
  })
})

describe("the file", () => {
  test("has above each key the line that it comes from, and at the end the lines that set none", async () => {
    const { text } = await imported(
      "max_keepalive 60\nuser mosquitto\npassword_file /users\nlistener 1883\nmax_connections 9\nlistener 1884\n",
    )
    expect(text.split("\n").slice(4)).toEqual([
      "",
      "[auth]",
      "# FOLDER/mosquitto.conf:3: password_file /users",
      'passwords = "/users"',
      "",
      "[limits]",
      "# FOLDER/mosquitto.conf:1: max_keepalive 60",
      "maximumKeepAliveSeconds = 60",
      "",
      "# FOLDER/mosquitto.conf:4: listener 1883",
      "[[listeners]]",
      'type = "tcp"',
      'hostname = "0.0.0.0"',
      "port = 1883",
      "",
      "[listeners.limits]",
      "# FOLDER/mosquitto.conf:5: max_connections 9",
      "maximumConnections = 9",
      "",
      "# FOLDER/mosquitto.conf:6: listener 1884",
      "[[listeners]]",
      'type = "tcp"',
      'hostname = "0.0.0.0"',
      "port = 1884",
      "",
      "# For health checks, metrics and the admin API, which manju top and manju health ask:",
      "#[[listeners]]",
      '#type = "http"',
      '#hostname = "127.0.0.1"',
      "#port = 8080",
      "",
      "# Not carried over, or not as it was:",
      "# FOLDER/mosquitto.conf:2: user mosquitto: it runs as whoever starts it: User= of systemd",
      "",
    ])
  })

  test("says above a listener that lets nobody in why it does", async () => {
    const { text } = await imported("allow_anonymous true\nlistener 1883\npsk_hint here\n")
    expect(text).toContain("# - FOLDER/mosquitto.conf:3: there is TLS with certificates here")
    expect(text).toContain('[listeners.auth]\npasswords = "/dev/null"\n')
  })

  test("has no secrets, and no characters that move the cursor", async () => {
    const { text } = await imported(
      "connection \x1b[2Jup\nremote_password secret\nbridge_psk secret\nplugin_opt_db secret\n",
    )
    expect(text).not.toContain("secret")
    expect(text).toContain("connection \\x1b[2Jup: there are no bridges")
    expect(text).toContain("remote_password ***: there are no bridges")
  })

  test("comes of lines as Mosquitto reads them: blanks around, tabs, CRLF, comments, a value with blanks", async () => {
    const { values, left } = await imported(
      "  # no\r\n\tallow_anonymous\ttrue \r\n#x\n\nlistener 1883 127.0.0.1\r\nmax_qos 1 # why\nacl_file /my acl  \n",
    )
    expect(values.listeners[0]).toMatchObject({ limits: { maximumQoS: 1 } })
    expect(values.auth.acl).toBe("/my acl")
    expect(left).toEqual([])
  })

  test("lets nobody in by the name of a file that is not UTF-8", async () => {
    const { values } = await imported("listener 1883\nallow_anonymous true\nacl_file /acl\ufffd\n")
    expect(values.listeners[0]).toMatchObject({ auth: { passwords: NOBODY } })
  })
})

describe("include_dir", () => {
  test("is followed in Mosquitto's order, and each file begins with the standard listener", async () => {
    const files = {
      "in/b.conf": "max_qos 1\nlistener 1\n",
      "in/B.conf": "listener 2\n",
      "in/01.conf": "listener 3\n",
      "in/A.conf": "listener 4\n",
      "in/a.conf": "listener 5\n",
      "in/a.conf.bak": "listener 6\n",
      "in/.conf": "listener 7\n",
    }
    const { values, text } = await imported(
      "allow_anonymous true\nlistener 8\ninclude_dir FOLDER/in\nmax_qos 0\n",
      files,
    )
    const ports = values.listeners.map((each) => [
      "port" in each && each.port,
      "limits" in each && each.limits.maximumQoS,
    ])
    expect(ports).toEqual([
      [1883, 1], // of b.conf, before its own listener
      [8, 0],
      [3, 2],
      [4, 2],
      [5, 2],
      [2, 2],
      [1, 2],
    ])
    expect(text).toContain("# FOLDER/in/b.conf:1: max_qos 1\n")
  })

  test("has the capital of each letter before the small one, wherever they differ", async () => {
    const names = [
      "00",
      "01",
      "A",
      "Ab",
      "a",
      "aB",
      "ab",
      "abc",
      "a_",
      "B",
      "b",
      "C",
      "c",
      "x-D",
      "x-d",
      "x-E",
      "x-e",
      "z",
    ]
    const shuffled = names.toSorted((one, other) => Number(Bun.hash(one) - Bun.hash(other) > 0n) * 2 - 1)
    const files = Object.fromEntries(
      shuffled.map((name) => [`in/${name}.conf`, `listener ${1 + names.indexOf(name)}\n`]),
    )
    const { values } = await imported("include_dir FOLDER/in\n", files)
    const ports = values.listeners.map((each) => "port" in each && each.port)
    expect(ports).toEqual(names.map((_, at) => at + 1))
  })

  test("is followed from the first file alone, as Mosquitto does", async () => {
    const files = { "in/a.conf": "include_dir FOLDER/more\n", "more/b.conf": "listener 1\n" }
    const { values, left } = await imported("include_dir FOLDER/in\n", files)
    expect(values.listeners).toHaveLength(1)
    expect(left).toMatchObject([{ said: "include_dir FOLDER/more", kind: "needless" }])
  })
})

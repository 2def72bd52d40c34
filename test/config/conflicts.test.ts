/** Values that are good each and do not go together; and what would be open to others without anybody having said so. */
import { describe, expect, test } from "bun:test"
import { problemsOf, type Sources, withLoaded } from "../support/configuration.ts"

const CA = { "--tls-cert": "s.crt", "--tls-key": "s.key", "--tls-ca": "ca.crt" }
const tls = "tls = { cert = 's', key = 'k', ca = 'c' }"
const tcp = (...lines: string[]) => ["[[listeners]]", 'type = "tcp"', ...lines, ""].join("\n")
const open = 'hostname = "0.0.0.0"'

type Row = [what: string, sources: Sources, lines: string[]]

function holds(table: Row[]): void {
  for (const [what, sources, lines] of table)
    test(what, async () => {
      expect(await problemsOf(sources)).toEqual(lines)
    })
}

describe("an address that others can reach takes that somebody has said who may connect:", () => {
  const host = (name = "0.0.0.0") => ({ "--host": name })
  const unsaid = (name: string) =>
    `--host ${name} can be reached by others, and nothing says who may connect: give --passwords, --tls-ca, or let everybody in with --allow-anonymous`
  const inFile = `manju.toml:3: listeners[0].hostname 0.0.0.0 can be reached by others, and nothing says who may connect: give auth.passwords, auth.jwt, auth.http, listeners[0].tls.ca, or let everybody in with auth.allowAnonymous`
  holds([
    ["nobody has, with a flag", { flags: host() }, [unsaid("0.0.0.0")]],
    ["nor for IPv6", { flags: host("::") }, [unsaid("::")]],
    ["nor in the file", { file: tcp(open) }, [inFile]],
    [
      "nor in the environment",
      { environment: { MANJU_LISTENERS_1_HOSTNAME: "192.0.2.1" } },
      [
        "MANJU_LISTENERS_1_HOSTNAME 192.0.2.1 can be reached by others, and nothing says who may connect: give MANJU_AUTH_PASSWORDS, MANJU_AUTH_JWT, MANJU_AUTH_HTTP, MANJU_LISTENERS_1_TLS_CA, or let everybody in with MANJU_AUTH_ALLOW_ANONYMOUS",
      ],
    ],
    ...["127.0.0.1", "127.1.2.3", "::1", "localhost"].map(
      (name): Row => [`${name} is not one`, { flags: host(name) }, []],
    ),
    ["passwords say it", { flags: { ...host(), "--passwords": "u" } }, []],
    ["that everybody may says it", { flags: { ...host(), "--allow-anonymous": true } }, []],
    ["that certificates have to be shown says it", { flags: { ...host(), ...CA } }, []],
    ["tokens say it, for this listener", { file: tcp(open, "auth.jwt.jwks = 'k'") }, []],
    ["a web service says it, for all", { file: `auth.http.url = 'http://x'\n${tcp(open)}` }, []],
    [
      "an auth of its own has to say it itself",
      { file: `auth.passwords = 'u'\n${tcp(open, "auth.acl = 'a'")}` },
      [
        "manju.toml:4: listeners[0].hostname 0.0.0.0 can be reached by others, and nothing says who may connect: give listeners[0].auth.passwords, listeners[0].auth.jwt, listeners[0].auth.http, listeners[0].tls.ca, or let everybody in with listeners[0].auth.allowAnonymous",
      ],
    ],
    [
      "for WebSockets on a listener for HTTP, too",
      { file: `${tcp()}[[listeners]]\ntype = "http"\n${open}\nwebsocket = {}` },
      [inFile.replace(":3:", ":5:").replaceAll("listeners[0]", "listeners[1]")],
    ],
    ["HTTP alone asks by itself", { file: `${tcp()}[[listeners]]\ntype = "http"\n${open}` }, []],
  ])
})

describe("access rules go by names, which something has to prove where others can come:", () => {
  const remedy = "give --passwords or --tls-username, or --allow-anonymous for who names no user"
  holds([
    [
      "nothing does",
      { flags: { "--host": "0.0.0.0", "--acl": "a", ...CA } },
      [`--host 0.0.0.0 can be reached by others, and nothing says who is who, which --acl goes by: ${remedy}`],
    ],
    [
      "nor in the file",
      { file: `auth.acl = 'a'\n${tcp(open, tls)}` },
      [
        "manju.toml:4: listeners[0].hostname 0.0.0.0 can be reached by others, and nothing says who is who, which auth.acl goes by: give auth.passwords or listeners[0].usernameFrom, or auth.allowAnonymous for who names no user",
      ],
    ],
    [
      "names from certificates are proven",
      { flags: { "--host": "0.0.0.0", "--acl": "a", ...CA, "--tls-username": "cn" } },
      [],
    ],
    ["nobody has a name", { flags: { "--host": "0.0.0.0", "--acl": "a", "--allow-anonymous": true } }, []],
  ])

  const warned: [what: string, sources: Sources, lines: string[]][] = [
    [
      "on loopback that is a warning",
      { flags: { "--acl": "a" } },
      ["--acl without --passwords: anybody can take any user's name"],
    ],
    [
      "of those listeners that it is about",
      { flags: { "--acl": "a", ...CA, "--tls-username": "cn", "--unix": "/run/s" } },
      ["--acl without --passwords: at /run/s anybody can take any user's name"],
    ],
    [
      "also for the file",
      { file: `${tcp()}[[listeners]]\ntype = "websocket"\n[listeners.auth]\nacl = "a"` },
      ["manju.toml:6: listeners[1].auth.acl without listeners[1].auth.passwords: anybody can take any user's name"],
    ],
    ["nothing is said where passwords prove names", { flags: { "--acl": "a", "--passwords": "u" } }, []],
  ]
  for (const [what, sources, lines] of warned)
    test(what, async () => {
      const said = await withLoaded(sources, ({ warnings }) => warnings)
      expect(said.map((line) => line.replace(/^\S*\/(?=manju)/, ""))).toEqual(lines)
    })
})

describe("TLS", () => {
  holds([
    ["takes a certificate and its key", { flags: { "--tls-cert": "x" } }, ["TLS takes both --tls-cert and --tls-key"]],
    ["also where there is an authority", { flags: { "--tls-ca": "x" } }, ["TLS takes both --tls-cert and --tls-key"]],
    [
      "takes them from where they are",
      { file: tcp("tls = { cert = 'x', key = 'y' }"), flags: { "--tls-cert": "z" } },
      [],
    ],
    [
      "with names from certificates takes an authority",
      { flags: { "--tls-username": "cn" } },
      ["--tls-username needs --tls-ca: whose certificates to believe"],
    ],
    [
      "also in the file",
      { file: tcp('usernameFrom = "commonName"', "tls = { cert = 'x', key = 'y' }") },
      ["manju.toml:3: listeners[0].usernameFrom needs listeners[0].tls.ca: whose certificates to believe"],
    ],
    [
      "gives everybody a name then",
      { flags: { ...CA, "--tls-username": "cn", "--allow-anonymous": true } },
      ["with --tls-username everybody has a user name: --allow-anonymous lets nobody in"],
    ],
    [
      "gives no names over WebSocket",
      { flags: { ...CA, "--tls-username": "cn", "--ws": 0 } },
      ["--tls-username is for TCP: Bun does not tell whose certificate a WebSocket has"],
    ],
    [
      "nor where the file has one",
      { file: `${tcp()}[[listeners]]\ntype = "websocket"`, flags: { ...CA, "--tls-username": "cn" } },
      [
        "--tls-username is for TCP: Bun does not tell whose certificate a WebSocket has; --no-ws takes listeners[1] out",
      ],
    ],
    [
      "is spoken by the proxy where there is one",
      { file: tcp(tls, "proxy.trusted = ['10.0.0.1']") },
      ["manju.toml:4: listeners[0].proxy and listeners[0].tls do not go together: let the proxy speak TLS"],
    ],
  ])
})

describe("auth", () => {
  holds([
    [
      "lets somebody in",
      { file: "auth.allowAnonymous = false" },
      ["manju.toml:1: auth.allowAnonymous false lets nobody in: give some of auth.passwords, auth.jwt, auth.http"],
    ],
    ["with certificates lets in who shows one", { file: `auth.allowAnonymous = false\n${tcp(tls)}` }, []],
    [
      "of a listener's own says something: an empty one would open what that of all guards",
      { file: `auth.passwords = 'u'\n${tcp("[listeners.auth]", "verificationsAtOnce = 3")}` },
      [
        "manju.toml:4: listeners[0].auth says nothing: leave it out, or give some of allowAnonymous, passwords, jwt, http, acl",
      ],
    ],
    [
      "by tokens takes one kind of key",
      { file: `[auth.jwt]\nsecret = "s"\njwks = "k"\n${tcp("auth.jwt = {}")}` },
      [
        "manju.toml:1: auth.jwt takes one of secret, key and jwks, not secret and jwks",
        "manju.toml:6: listeners[0].auth.jwt takes one of secret, key and jwks, not none",
      ],
    ],
    [
      "by flags is for listeners that have none",
      { file: tcp("auth.passwords = 'u'"), flags: { "--passwords": "v", "--acl": "w" } },
      [
        "--passwords is for listeners without an auth of their own, and there are none",
        "--acl is for listeners without an auth of their own, and there are none",
      ],
    ],
    [
      "of an operator has a password beside a name",
      { file: 'admin.user = "ada"', environment: {} },
      ["manju.toml:1: admin.user takes admin.password beside it"],
    ],
  ])
})

describe("listeners", () => {
  const nothing = "nothing is left for MQTT to listen on: leave --no-tcp out, or give --unix"
  const none = { "--no-tcp": undefined, "--no-ws": undefined }
  holds([
    ["are there for MQTT", { flags: none }, [nothing]],
    [
      "are not without TCP and WebSocket",
      { flags: { "--no-tcp": undefined, ...CA, "--tls-username": "cn" } },
      [nothing],
    ],
    ["are with a socket file", { flags: { ...none, "--unix": "/s" } }, []],
    ["are with WebSockets on HTTP", { file: '[[listeners]]\ntype = "http"\nwebsocket = {}' }, []],
    [
      "are there in the file",
      { file: 'logLevel = "info"\n[[listeners]]\ntype = "http"' },
      ["manju.toml:2: nothing is left for MQTT to listen on: there is no listener of type tcp, unix or websocket"],
    ],
    [
      "have ports of their own",
      { file: `${tcp()}[[listeners]]\ntype = "websocket"\nport = 1883\n${tcp()}` },
      [
        "manju.toml:5: listeners[1].port 1883 is what listeners[0].port is already",
        "manju.toml:6: listeners[2].port 1883 is what listeners[0].port is already",
      ],
    ],
    ["which flags may give", { flags: { "--tcp": 5, "--ws": 5 } }, ["--ws 5 is what --tcp is already"]],
    ["may all take a free one", { file: tcp("port = 0") + tcp("port = 0") }, []],
    ["may have a port each of another address", { file: tcp() + tcp('hostname = "127.0.0.2"') }, []],
    [
      "have names and socket files of their own",
      {
        file: `${tcp("id = 'a'")}[[listeners]]\ntype = "unix"\nid = 'a'\npath = "/s"\n[[listeners]]\ntype = "unix"\npath = "/s"`,
      },
      [
        "manju.toml:6: listeners[1].id a is what listeners[0].id is already",
        "manju.toml:10: listeners[2].path /s is what listeners[1].path is already",
      ],
    ],
  ])
})

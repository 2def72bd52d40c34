/** The publish form: what is in its fields, and the request that it makes of them. */
import { readJson } from "./json.ts"

export type PayloadForm = "text" | "json" | "hex" | "file" | "empty"

/** The fields, as they are typed. */
export interface PublishFields {
  readonly topic: string
  readonly form: PayloadForm
  /** Of text, JSON and hex. */
  readonly payload: string
  readonly file: Uint8Array | undefined
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly isText: boolean
  readonly messageExpirySeconds: string
  readonly contentType: string
  readonly responseTopic: string
  readonly correlationData: string
  readonly userProperties: readonly (readonly [name: string, value: string])[]
}

/** By the name of the field: what is wrong with it. `""`: with the request as a whole. */
export type FieldErrors = Readonly<Partial<Record<keyof PublishFields | "", string>>>

export const emptyFields: PublishFields = {
  topic: "",
  form: "text",
  payload: "",
  file: undefined,
  qos: 0,
  retain: false,
  isText: false,
  messageExpirySeconds: "",
  contentType: "",
  responseTopic: "",
  correlationData: "",
  userProperties: [],
}

const NEVER_EXPIRES_SECONDS = 0xffff_ffff

/** The body of `POST /api/v1/publish`. */
export interface Publication {
  topic: string
  payload?: string
  payloadBase64?: string
  qos: 0 | 1 | 2
  retain: boolean
  properties?: {
    payloadFormatIndicator?: true
    messageExpirySeconds?: number
    contentType?: string
    responseTopic?: string
    correlationDataBase64?: string
    userProperties?: (readonly [name: string, value: string])[]
  }
}

/** The request, or what is wrong with the fields; of the topic the broker knows more. */
export function publicationOf(fields: PublishFields): { body: Publication } | { errors: FieldErrors } {
  const errors: { -readonly [name in keyof FieldErrors]: string } = {}
  if (fields.topic === "") errors.topic = "A message needs a topic."
  else if (/[+#]/.test(fields.topic)) errors.topic = "A topic name has no wildcards: + and # stand in filters only."
  const payload = payloadOf(fields)
  if ("error" in payload) errors.payload = payload.error
  const properties = propertiesOf(fields, errors)
  if (Object.keys(errors).length > 0 || "error" in payload) return { errors }
  const { topic, qos, retain } = fields
  const hasProperties = Object.keys(properties).length > 0
  return { body: { topic, ...payload, qos, retain, ...(hasProperties && { properties }) } }
}

/** At which field each error of an `invalid-request` is shown; what is of no field is of the request. */
export function fieldErrorsOf(detail: string, parts: readonly { name: string; detail: string }[]): FieldErrors {
  const errors: { -readonly [name in keyof FieldErrors]: string } = {}
  for (const part of parts) {
    const field = fieldOf(part.name)
    errors[field] = errors[field] === undefined ? part.detail : `${errors[field]}; ${part.detail}`
  }
  if (parts.length === 0) errors[fieldIn(detail)] = detail
  return errors
}

/** `00 ff`, `00FF`, `0x00, 0xff`; undefined: it is none. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  const digits = text.replaceAll(/0x|[\s,:-]/gi, "")
  if (digits.length % 2 === 1 || !/^[\da-f]*$/i.test(digits)) return undefined
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function base64Of(bytes: Uint8Array): string {
  let characters = ""
  // in parts: so many arguments as a file has bytes are too many
  for (let at = 0; at < bytes.length; at += 8192) characters += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(characters)
}

/** Why it is no JSON, in a sentence; undefined: it is. */
export function jsonError(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return `That is no JSON: ${reason}`
  }
}

/** JSON in lines, as it is sent where somebody asks for that. */
export function prettyJson(text: string): string | undefined {
  const lines = readJson(text)?.lines
  return lines?.map(({ depth, tokens }) => "  ".repeat(depth) + tokens.map((one) => one.text).join("")).join("\n")
}

function payloadOf({
  form,
  payload,
  file,
}: PublishFields): Pick<Publication, "payload" | "payloadBase64"> | { error: string } {
  switch (form) {
    case "empty":
      return {}
    case "text":
      return { payload }
    case "json": {
      const error = jsonError(payload)
      return error === undefined ? { payload } : { error } // as it is typed: a large number stays what it is
    }
    case "hex": {
      const bytes = bytesOfHex(payload)
      return bytes === undefined
        ? { error: "Bytes are pairs of the digits 0 to 9 and a to f, such as 00 1f ff." }
        : { payloadBase64: base64Of(bytes) }
    }
    case "file":
      return file === undefined ? { error: "Choose a file." } : { payloadBase64: base64Of(file) }
  }
}

function propertiesOf(fields: PublishFields, errors: { -readonly [name in keyof FieldErrors]: string }) {
  const properties: NonNullable<Publication["properties"]> = {}
  if (fields.isText) properties.payloadFormatIndicator = true
  const expiry = fields.messageExpirySeconds.trim()
  if (expiry !== "") {
    const seconds = Number(expiry)
    if (!/^\d+$/.test(expiry) || seconds > NEVER_EXPIRES_SECONDS) {
      errors.messageExpirySeconds = `Whole seconds, 0 to ${NEVER_EXPIRES_SECONDS}.`
    } else properties.messageExpirySeconds = seconds
  }
  if (fields.contentType !== "") properties.contentType = fields.contentType
  if (fields.responseTopic !== "") properties.responseTopic = fields.responseTopic
  if (fields.correlationData !== "") {
    properties.correlationDataBase64 = base64Of(new TextEncoder().encode(fields.correlationData))
  }
  const named = fields.userProperties.filter(([name, value]) => name !== "" || value !== "")
  if (named.length > 0) properties.userProperties = named
  return properties
}

/** What the broker itself says of a message names no field, but says what it is about. */
function fieldIn(detail: string): keyof PublishFields | "" {
  if (/^(not a topic name|longer or deeper than|only the broker publishes to)\b/.test(detail)) return "topic"
  return fieldOf(/^\w+/.exec(detail)?.[0] ?? "")
}

function fieldOf(path: string): keyof PublishFields | "" {
  const [first = "", second = ""] = path.split(".")
  const name = first === "properties" ? second : first
  if (name === "payloadBase64" || name === "json" || name === "payload") return "payload"
  if (name === "correlationDataBase64") return "correlationData"
  if (name === "payloadFormatIndicator") return "isText"
  return name in emptyFields ? (name as keyof PublishFields) : ""
}

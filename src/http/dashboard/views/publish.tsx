/** Publishes a message. */
import { signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import { bytes, counted, timeOfDay } from "../../format.ts"
import { ApiError, get, post } from "../api.ts"
import { visible } from "../model/payload.ts"
import {
  emptyFields,
  type FieldErrors,
  fieldErrorsOf,
  type PayloadForm,
  type Publication,
  type PublishFields,
  prettyJson,
  publicationOf,
} from "../model/publication.ts"
import { announce } from "../parts/announce.tsx"
import { Field } from "../parts/field.tsx"
import { Panel } from "../parts/panel.tsx"
import { Problem } from "../parts/problem.tsx"
import { Table } from "../parts/table.tsx"
import { linkTo, type Place } from "../route.ts"
import "./publish.css"

/** What has been published from here. */
interface Sent {
  time: number
  body: Publication
  /** Subscriptions that matched right after it; undefined: not known. */
  subscriptions: number | undefined
}

const MOST_SENT = 20
const forms: Record<PayloadForm, string> = {
  text: "Text",
  json: "JSON",
  hex: "Bytes, in hexadecimal",
  file: "File",
  empty: "Empty",
}

/** They stay while other views are shown. */
const typed = signal<PublishFields>(emptyFields)
const sent = signal<readonly Sent[]>([])

export function PublishView({ place: { query } }: { place: Place }) {
  const asked = query.get("topic")
  useState(() => {
    if (asked !== null) typed.value = { ...typed.value, topic: asked } // once, before anything is drawn
  })
  return (
    <>
      <h1>Publish</h1>
      <p class="muted">The message is the broker's own: access rules and hooks are not asked.</p>
      <div class="columns">
        <Form />
        {sent.value.length > 0 && <SentMessages />}
      </div>
    </>
  )
}

function Form() {
  const fields = typed.value
  const [errors, setErrors] = useState<FieldErrors>({})
  const [failure, setFailure] = useState<unknown>()
  const [isBusy, setBusy] = useState(false)
  const set = (change: Partial<PublishFields>) => {
    typed.value = { ...typed.value, ...change }
  }
  const submit = async (event: Event) => {
    event.preventDefault()
    setFailure(undefined)
    const made = publicationOf(typed.value)
    setErrors("errors" in made ? made.errors : {})
    if ("errors" in made) return
    setBusy(true)
    try {
      await post("publish", made.body)
      const subscriptions = await subscriptionsTo(made.body.topic)
      const one = { time: Date.now(), body: made.body, subscriptions }
      sent.value = [one, ...sent.value].slice(0, MOST_SENT)
      announce(`Published to ${visible(made.body.topic)}.`)
    } catch (error) {
      const isInvalid = error instanceof ApiError && error.kind === "invalid-request"
      const found = isInvalid ? fieldErrorsOf(error.message, error.parts) : {}
      setErrors(found)
      if (found[""] !== undefined || !isInvalid) setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <form class="publish" onSubmit={submit} noValidate>
      <Field label="Topic" error={errors.topic}>
        {(props) => (
          <input
            {...props}
            required
            spellcheck={false}
            autocapitalize="off"
            value={fields.topic}
            onInput={(event) => set({ topic: event.currentTarget.value })}
          />
        )}
      </Field>
      <PayloadFields {...{ fields, set, error: errors.payload }} />
      <div class="toolbar">
        <Field label="QoS" hint="1 and 2: the answer comes when it is stored." error={errors.qos}>
          {(props) => (
            <select
              {...props}
              value={fields.qos}
              onChange={(event) => set({ qos: Number(event.currentTarget.value) as 0 | 1 | 2 })}
            >
              {[0, 1, 2].map((qos) => (
                <option key={qos} value={qos}>
                  {qos}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Check label="Retain" isOn={fields.retain} set={(retain) => set({ retain })} />
      </div>
      <Properties {...{ fields, set, errors }} />
      <Problem error={failure} />
      <div class="actions">
        <button type="submit" class="primary" disabled={isBusy}>
          Publish
        </button>
        <button type="button" class="quiet" onClick={() => set(emptyFields)}>
          Clear
        </button>
      </div>
    </form>
  )
}

type Setting = { fields: PublishFields; set: (change: Partial<PublishFields>) => void }

function PayloadFields({ fields, set, error }: Setting & { error: string | undefined }) {
  const { form, payload } = fields
  const choose = async (files: FileList | null) => {
    const file = files?.[0]
    set({ file: file && new Uint8Array(await file.arrayBuffer()) })
  }
  return (
    <>
      <Field label="Payload is">
        {(props) => (
          <select {...props} value={form} onChange={(event) => set({ form: event.currentTarget.value as PayloadForm })}>
            {Object.entries(forms).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      {form === "file" && (
        <Field label="File" error={error} hint={fields.file && `${bytes(fields.file.length)} read`}>
          {(props) => <input {...props} type="file" onChange={(event) => choose(event.currentTarget.files)} />}
        </Field>
      )}
      {form !== "file" && form !== "empty" && (
        <Field label="Payload" error={error} hint={form === "hex" ? "Such as 00 1f ff" : undefined}>
          {(props) => (
            <textarea
              {...props}
              rows={6}
              spellcheck={false}
              value={payload}
              onInput={(event) => set({ payload: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
      {form === "json" && (
        <button type="button" class="quiet" onClick={() => set({ payload: prettyJson(payload) ?? payload })}>
          Indent
        </button>
      )}
    </>
  )
}

const texts = [
  ["contentType", "Content type", "Such as application/json"],
  ["messageExpirySeconds", "Expires after, in seconds", "Empty: never"],
  ["responseTopic", "Response topic", undefined],
  ["correlationData", "Correlation data", "Text, sent as UTF-8"],
] as const

function Properties({ fields, set, errors }: Setting & { errors: FieldErrors }) {
  const { userProperties } = fields
  const setPair = (at: number, pair: readonly [string, string] | undefined) => {
    const others = userProperties.flatMap((each, index) => (index === at ? (pair === undefined ? [] : [pair]) : [each]))
    set({ userProperties: at === userProperties.length && pair !== undefined ? [...others, pair] : others })
  }
  const isWrong = texts.some(([name]) => errors[name] !== undefined) || errors.userProperties !== undefined
  return (
    <details open={isWrong || undefined}>
      <summary>MQTT 5 properties</summary>
      <Check label="The payload is UTF-8 text" isOn={fields.isText} set={(isText) => set({ isText })} />
      {texts.map(([name, label, hint]) => (
        <Field key={name} label={label} hint={hint} error={errors[name]}>
          {(props) => (
            <input
              {...props}
              inputMode={name === "messageExpirySeconds" ? "numeric" : "text"}
              value={fields[name]}
              onInput={(event) => set({ [name]: event.currentTarget.value })}
            />
          )}
        </Field>
      ))}
      <fieldset>
        <legend>User properties</legend>
        {userProperties.map(([name, value], index) => (
          <div key={index} class="pair">
            <input
              aria-label={`Name ${index + 1}`}
              value={name}
              onInput={(event) => setPair(index, [event.currentTarget.value, value])}
            />
            <input
              aria-label={`Value ${index + 1}`}
              value={value}
              onInput={(event) => setPair(index, [name, event.currentTarget.value])}
            />
            <button type="button" class="quiet" onClick={() => setPair(index, undefined)}>
              Remove
            </button>
          </div>
        ))}
        {errors.userProperties !== undefined && <small class="bad">{errors.userProperties}</small>}
        <button type="button" onClick={() => setPair(userProperties.length, ["", ""])}>
          Add
        </button>
      </fieldset>
    </details>
  )
}

function Check({ label, isOn, set }: { label: ComponentChildren; isOn: boolean; set: (isOn: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={(event) => set(event.currentTarget.checked)} /> {label}
    </label>
  )
}

function SentMessages() {
  return (
    <Panel title="Published">
      <Table
        caption="What has been published from here"
        columns={[
          { title: "Time", cell: ({ time }) => timeOfDay(time) },
          {
            title: "Topic",
            cell: ({ body: { topic } }) => <a href={linkTo("topics", "", { topic })}>{visible(topic)}</a>,
          },
          { title: "QoS", cell: ({ body }) => `${body.qos}${body.retain ? ", retained" : ""}` },
          { title: "Reached", cell: ({ subscriptions }) => reached(subscriptions) },
        ]}
        rows={sent.value}
        keyOf={({ time }) => String(time)}
        none=""
      />
    </Panel>
  )
}

function reached(subscriptions: number | undefined): string {
  if (subscriptions === undefined) return "taken"
  return subscriptions === 0 ? "no subscription matches" : counted(subscriptions, "matching subscription")
}

/** How many there are who get it; that it is published is more important than that this is known. */
function subscriptionsTo(topic: string): Promise<number | undefined> {
  return get("subscriptions", { topic, limit: 1 }).then(
    ({ total }) => total,
    () => undefined,
  )
}

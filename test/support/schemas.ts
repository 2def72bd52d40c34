/** Schemas of several libraries, and of none, for typed topics. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import * as v from "valibot"
import { z } from "zod"

/** A schema of any library: takes numbers, and answers when the test says so. */
export function lateNumbers() {
  const waiting: { value: unknown; answer: () => void }[] = []
  const validate = (value: unknown) =>
    new Promise<StandardSchemaV1.Result<number>>((resolve) => {
      const result = typeof value === "number" ? { value } : { issues: [{ message: "no number" }] }
      waiting.push({ value, answer: () => resolve(result) })
    })
  const schema: StandardSchemaV1<number> = { "~standard": { version: 1, vendor: "test", validate } }
  return { schema, waiting }
}

/** A schema whose `validate` is the given function. */
export const schemaOf = <Output>(
  validate: (value: unknown) => StandardSchemaV1.Result<Output>,
): StandardSchemaV1<Output> => ({
  "~standard": { version: 1, vendor: "test", validate },
})

/** The same reading of a sensor: what travels is a text of the time and maybe a unit, what is read a Date and surely one. */
export const readings = {
  zod: z.object({
    celsius: z.number(),
    unit: z.string().default("K"),
    at: z.iso.datetime().transform((text) => new Date(text)),
  }),
  valibot: v.object({
    celsius: v.number(),
    unit: v.optional(v.string(), "K"),
    at: v.pipe(
      v.string(),
      v.isoTimestamp(),
      v.transform((text) => new Date(text)),
    ),
  }),
  "valibot, async": v.objectAsync({
    celsius: v.number(),
    unit: v.optional(v.string(), "K"),
    at: v.pipeAsync(
      v.string(),
      v.isoTimestamp(),
      v.transformAsync(async (text) => new Date(text)),
    ),
  }),
  "zod, async": z.object({
    celsius: z.number().refine(async (celsius) => celsius > -274),
    unit: z.string().default("K"),
    at: z.iso.datetime().transform(async (text) => new Date(text)),
  }),
}
/** When those readings are taken. */
export const at = "2024-02-29T12:00:00Z"

/** The description of the admin API, before anybody asks anything. */
import { describe, expect, test } from "bun:test"
import { Validator } from "@seriousme/openapi-schema-validator"
import { routes } from "../../src/http/api/index.ts"
import { handled } from "../support/http.ts"

const { ask } = await handled({})
const { status, body: document } = await ask("/api/v1/openapi.json")

describe("/api/v1/openapi.json", () => {
  test("is an OpenAPI 3.1 document", async () => {
    expect(status).toBe(200)
    expect(document.openapi).toBe("3.1.0")
    expect(await new Validator().validate(document)).toEqual({ valid: true })
  })

  test("describes every route that is served, and no other", () => {
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test("gives every operation a name of its own, and says what it does", () => {
    const names = routes.map(({ id }) => id)
    expect(new Set(names).size).toBe(names.length)
    for (const { summary } of routes) expect(summary).toMatch(/^[A-Z].{5,}/)
  })

  test("refers to nothing that is not there", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!)
    expect(references.length).toBeGreaterThan(10)
    for (const reference of new Set(references)) {
      const name = reference.replace("#/components/schemas/", "")
      expect([reference, document.components.schemas[name] !== undefined]).toEqual([reference, true])
    }
  })

  test("says for every parameter and every limit what it takes", () => {
    const limit = document.paths["/api/v1/clients"].get.parameters.find(
      ({ name }: { name: string }) => name === "limit",
    )
    expect(limit).toEqual({
      ...{ name: "limit", in: "query", required: false, description: "How many items at most" },
      schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
    })
    expect(document.components.schemas.SomeLimits.properties.maximumQoS).toBeUndefined()
    expect(document.components.schemas.SomeLimits.properties.maximumInflight).toMatchObject({
      minimum: 1,
      maximum: 65_535,
    })
    expect(document.components.schemas.SomeLimits.properties.maximumInflight.description).toContain("next connection")
  })
})

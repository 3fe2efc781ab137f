/**
 * What `@hono/zod-openapi` is in the browser: zod with an `openapi` that describes nothing, and routes that are only their own
 * definition. The real one brings Hono's router and the generator of the API's description, which the console never runs.
 * `bundle.ts` puts this file in its place; the types stay those of the real one.
 */
import { z } from "zod";

/** As a property that every schema takes over from its class. */
Object.defineProperty(z.ZodType.prototype, "openapi", {
  configurable: true,
  enumerable: true,
  value(this: z.ZodType): z.ZodType {
    return this;
  },
});

export { z };

/** The definition itself. */
export function createRoute<Definition>(definition: Definition): Definition {
  return definition;
}

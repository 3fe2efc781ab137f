/** Changing a part of a resource that the API takes whole: read, revised, and put back only if nobody changed it meanwhile. */
import type { z } from "@hono/zod-openapi";
import { isSternwayError } from "../base/errors.ts";
import { sendForJson, sendForTagged, type ClientTarget } from "./transport.ts";

/** Somebody would have to change it between reading and putting each time. */
const TRIES_MAX = 4;

/**
 * @param path - of the resource, for GET and PUT
 * @param revised - makes the body out of the resource as it is; called again when somebody was faster
 * @returns what the PUT answered
 * @throws conflict: somebody was faster each time; not_found, invalid: what the API says
 */
export async function revise<Read extends z.ZodType, Answer extends z.ZodType>(
  target: ClientTarget,
  path: string,
  schemas: { read: Read; answer: Answer },
  revised: (now: z.output<Read>) => unknown,
): Promise<z.output<Answer>> {
  for (let tries = 1; ; tries++) {
    const { value, etag } = await sendForTagged(target, { method: "GET", path }, schemas.read);
    const headers = etag === undefined ? {} : { "if-match": etag };
    const body = revised(value);
    try {
      return await sendForJson(target, { method: "PUT", path, body, headers }, schemas.answer);
    } catch (error) {
      if (tries >= TRIES_MAX || !isSternwayError(error, "conflict")) throw error;
    }
  }
}

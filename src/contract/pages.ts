/** Pages of lists: newest first by id where entries only come, by place where they have names. */
import { z } from "@hono/zod-openapi";
import { queryInteger } from "./fields.ts";

export const PAGE_MAX = 1_000;
export const PAGE_DEFAULT = 100;

/** A page of a list that grows: newest first, `before` is an id. */
export const pageQuery = z.strictObject({
  before: queryInteger(1, Number.MAX_SAFE_INTEGER).optional(),
  limit: queryInteger(1, PAGE_MAX).optional(),
});

/** A page of a list in its order: what comes after `after`, which is the `next` of the page before. */
export const placeQuery = z.strictObject({
  after: z.string().min(1).max(96).optional().openapi({ description: "`next` of the page before" }),
  limit: queryInteger(1, PAGE_MAX)
    .optional()
    .openapi({ description: `default ${PAGE_MAX}` }),
});

/** Beside the entries of a page. */
export const nextPlace = z
  .string()
  .optional()
  .openapi({ description: "pass as `after`; absent: this page is the last" });

/** Every page of a list, one after the other. @param page - asks for the one after a place */
export async function allPages<Entry>(
  page: (after: string | undefined) => Promise<{ entries: Entry[]; next?: string | undefined }>,
): Promise<Entry[]> {
  const all: Entry[] = [];
  for (let after: string | undefined; ;) {
    const { entries, next } = await page(after);
    all.push(...entries);
    if (next === undefined || next === after) return all;
    after = next;
  }
}

/** Pages of lists that are whole in memory. Entries may come and go between two pages; a page goes on behind a place, whether or not something stands there still. */
import { SternwayError } from "../base/errors.ts";
import { PAGE_MAX } from "../contract/pages.ts";

interface Wanted {
  after?: string | undefined;
  limit?: number | undefined;
}

interface Page<Entry> {
  page: Entry[];
  /** The place of the last, when there are more. */
  next?: string;
}

/** @param volumes - by name */
export function volumePage<Volume extends { name: string }>(volumes: readonly Volume[], wanted: Wanted): Page<Volume> {
  const { after } = wanted;
  const rest = after === undefined ? volumes : volumes.filter(({ name }) => name > after);
  return cut(rest, wanted, ({ name }) => name);
}

/** The oldest moment first. Their places are `LSN:NAME`. @throws invalid: `after` is not one */
export function bookmarkPage<Bookmark extends { name: string; lsn: number }>(
  bookmarks: readonly Bookmark[],
  wanted: Wanted,
): Page<Bookmark> {
  const sorted = bookmarks.toSorted((a, b) => a.lsn - b.lsn || (a.name < b.name ? -1 : 1));
  const from = wanted.after === undefined ? undefined : parsePlace(wanted.after);
  const rest =
    from === undefined
      ? sorted
      : sorted.filter(({ lsn, name }) => lsn > from.lsn || (lsn === from.lsn && name > from.name));
  return cut(rest, wanted, ({ lsn, name }) => `${lsn}:${name}`);
}

function cut<Entry>(
  rest: readonly Entry[],
  { limit = PAGE_MAX }: Wanted,
  placeOf: (entry: Entry) => string,
): Page<Entry> {
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return rest.length > limit && last !== undefined ? { page, next: placeOf(last) } : { page };
}

function parsePlace(text: string): { lsn: number; name: string } {
  const match = /^(\d{1,16}):(.+)$/.exec(text);
  if (match) return { lsn: Number(match[1]), name: match[2] ?? "" };
  throw new SternwayError("invalid", `after=${JSON.stringify(text)} is not the \`next\` of a page`);
}

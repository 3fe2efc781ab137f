/** Routes of rollback, branches, bookmarks and differences. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { LINES_TYPE, routes, type DiffLine } from "../contract/contract.ts";
import { parseMoment } from "../volume/moment.ts";
import type { Moment } from "../volume/volumes.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { seenVolumes } from "./authority.ts";
import { lineStream } from "./line-stream.ts";
import { bookmarkPage, volumePage } from "./page.ts";
import { asJob, recordEvent } from "./record.ts";
import { wireBookmark, wireMoment, wireVolume } from "./wire.ts";

export function registerHistoryRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { volumes } = context;

  app.openapi(routes.rollbackVolume, async (c) => {
    const { name } = c.req.valid("param");
    const { to, force } = c.req.valid("json");
    const moment = parseMoment(to);
    // A moment that is none is its asker's mistake, and no job that failed.
    await volumes.resolve(name, moment);
    const result = await asJob(
      context,
      "rollback",
      name,
      () => volumes.rollback(name, moment, { force: force ?? false }),
      c.get("principal")?.name,
    );
    const undo = `lsn:${result.lsn - 1}`;
    const message = `volume ${name} was rolled back to ${to} (lsn ${result.to.lsn}); undo by rolling back to ${undo}`;
    recordEvent(context, { level: "warning", kind: "volume-rolled-back", subject: name, message });
    return c.json({ lsn: result.lsn, to: wireMoment(result.to), undo }, 200);
  });

  app.openapi(routes.listBranches, (c) => {
    const { name } = volumes.get(c.req.valid("param").name);
    // A branch may belong to another machine than what it was branched off.
    const isSeen = seenVolumes(c.get("principal"), context.ownership);
    const branches = volumes.list().filter((info) => info.origin?.volume === name && isSeen(info.name));
    const sorted = branches.sort((a, b) => (a.name < b.name ? -1 : 1));
    const { page, next } = volumePage(sorted, c.req.valid("query"));
    return c.json({ volumes: page.map(wireVolume), ...(next === undefined ? {} : { next }) }, 200);
  });

  app.openapi(routes.createBranch, async (c) => {
    const { name } = c.req.valid("param");
    const { name: newName, at, vault } = c.req.valid("json");
    const info = await volumes.branch(name, parseMoment(at), newName, vault === undefined ? {} : { vault });
    const message = `volume ${newName} was branched off ${name} at ${at}`;
    recordEvent(context, { level: "info", kind: "volume-branched", subject: newName, message });
    return c.json(wireVolume(info), 201, { location: `/v1/volumes/${newName}` });
  });

  app.openapi(routes.listBookmarks, (c) => {
    const { page, next } = bookmarkPage(volumes.bookmarks(c.req.valid("param").name), c.req.valid("query"));
    return c.json({ bookmarks: page.map(wireBookmark), ...(next === undefined ? {} : { next }) }, 200);
  });

  app.openapi(routes.createBookmark, async (c) => {
    const { name } = c.req.valid("param");
    const wanted = c.req.valid("json");
    const made = await volumes.bookmark(name, wanted.name, parseMoment(wanted.at ?? "now"), wanted.note ?? "");
    return c.json(wireBookmark(made), 201);
  });

  app.openapi(routes.deleteBookmark, async (c) => {
    const { name, bookmark } = c.req.valid("param");
    await volumes.removeBookmark(name, bookmark);
    return c.body(null, 204);
  });

  app.openapi(routes.getDiff, async (c) => {
    const { name } = c.req.valid("param");
    const query = c.req.valid("query");
    const from = await volumes.resolve(name, parseMoment(query.from));
    const to = await volumes.resolve(name, parseMoment(query.to ?? "now"));
    async function* diffLines(): AsyncGenerator<DiffLine> {
      let ranges = 0;
      let bytes = 0;
      // By LSN, so that `now` is one moment for the lines and for the summary.
      const at = (moment: typeof from): Moment => ({ kind: "lsn", lsn: moment.lsn });
      for await (const { offset, length } of volumes.diff(name, at(from), at(to))) {
        ranges++;
        bytes += length;
        yield { line: "range", offset, length };
      }
      yield { line: "end", ranges, bytes, from: wireMoment(from), to: wireMoment(to) };
    }
    const body = await lineStream(diffLines(), context.log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });
}

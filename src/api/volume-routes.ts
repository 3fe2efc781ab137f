/** Routes of volumes and moments. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { formatSize } from "../base/units.ts";
import { routes } from "../contract/contract.ts";
import { parseMoment } from "../volume/moment.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { seenVolumes } from "./authority.ts";
import { volumePage } from "./page.ts";
import { recordEvent } from "./record.ts";
import { wireMoment, wireVolume } from "./wire.ts";

export function registerVolumeRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { volumes } = context;
  const tell = (kind: string, subject: string, message: string): void =>
    recordEvent(context, { level: "info", kind, subject, message });

  app.openapi(routes.listVolumes, (c) => {
    const isSeen = seenVolumes(c.get("principal"), context.ownership);
    const seen = volumes.list().filter(({ name }) => isSeen(name));
    const sorted = seen.sort((a, b) => (a.name < b.name ? -1 : 1));
    const { page, next } = volumePage(sorted, c.req.valid("query"));
    return c.json({ volumes: page.map(wireVolume), ...(next === undefined ? {} : { next }) }, 200);
  });

  app.openapi(routes.createVolume, async (c) => {
    const { name, sizeBytes, vault } = c.req.valid("json");
    const info = await volumes.create(name, sizeBytes, vault === undefined ? {} : { vault });
    tell("volume-created", name, `volume ${name} was created with ${formatSize(sizeBytes)} in vault ${info.vault}`);
    return c.json(wireVolume(info), 201, { location: `/v1/volumes/${name}` });
  });

  app.openapi(routes.getVolume, (c) => c.json(wireVolume(volumes.get(c.req.valid("param").name)), 200));

  app.openapi(routes.resizeVolume, async (c) => {
    const { name } = c.req.valid("param");
    const { sizeBytes, force } = c.req.valid("json");
    const info = await volumes.resize(name, sizeBytes, { force: force ?? false });
    tell("volume-resized", name, `volume ${name} was resized to ${formatSize(sizeBytes)}`);
    return c.json(wireVolume(info), 200);
  });

  app.openapi(routes.deleteVolume, async (c) => {
    const { name } = c.req.valid("param");
    await volumes.delete(name, { force: c.req.valid("query").force ?? false });
    tell("volume-deleted", name, `volume ${name} and its history were deleted`);
    return c.body(null, 204);
  });

  app.openapi(routes.resolveMoment, async (c) => {
    const moment = parseMoment(c.req.valid("query").at);
    return c.json(wireMoment(await volumes.resolve(c.req.valid("param").name, moment)), 200);
  });
}

/** Routes of tiers, and of vaults that are opened from one. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { routes, type WireVerifyLine } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { startedJob } from "./job-routes.ts";
import type { LineReading } from "./job-runner.ts";
import { recordEvent } from "./record.ts";

export function registerTierRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { tiers } = context.appliance;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listTiers, (c) => c.json({ tiers: tiers.list(c.req.valid("param").name) }, 200));

  app.openapi(routes.addTier, async (c) => {
    const { name } = c.req.valid("param");
    const tier = await tiers.add(name, c.req.valid("json"));
    tell(
      "info",
      "tier-added",
      `${name}/${tier.name}`,
      `vault ${name} is also kept at ${tier.url} (${tier.name}, ${tier.mode})`,
    );
    return c.json(tier, 201, { location: `/v1/vaults/${name}/tiers` });
  });

  app.openapi(routes.removeTier, async (c) => {
    const { name, tier } = c.req.valid("param");
    await tiers.remove(name, tier);
    tell(
      "warning",
      "tier-removed",
      `${name}/${tier}`,
      `vault ${name} has no tier ${tier} any more; what lies there stays`,
    );
    return c.body(null, 204);
  });

  app.openapi(routes.syncTiers, async (c) => {
    const { name } = c.req.valid("param");
    const { tier } = c.req.valid("json");
    return await startedJob(c, context, {
      kind: "sync-tiers",
      subject: tier === undefined ? name : `${name}/${tier}`,
      run: (signal) => tiers.sync(name, tier, signal),
      read: (line) => ({ passing: line.line === "tier" }),
    });
  });

  app.openapi(routes.verifyTier, async (c) => {
    const { name, tier } = c.req.valid("param");
    const { repair = false } = c.req.valid("json");
    const run = (signal: AbortSignal) => tiers.verify(name, tier, repair, signal);
    return await startedJob(c, context, { kind: "verify-tier", subject: `${name}/${tier}`, run, read: readVerify });
  });

  app.openapi(routes.openVaultFrom, async (c) => {
    const request = c.req.valid("json");
    const vault = await tiers.open(request);
    const how = request.takeOver === true ? "taken over" : "opened for reading";
    tell("warning", "vault-opened-from-tier", request.name, `vault ${request.name} was ${how} from ${request.url}`);
    return c.json(vault, 201, { location: `/v1/vaults/${request.name}` });
  });

  app.openapi(routes.takeOverVault, async (c) => {
    const { name } = c.req.valid("param");
    const vault = await tiers.takeOver(name, c.req.valid("json").key);
    tell("warning", "vault-taken-over", name, `vault ${name} is written to by this appliance now`);
    return c.json(vault, 200);
  });

  app.openapi(routes.refreshVault, async (c) => {
    return c.json(await tiers.refresh(c.req.valid("param").name, c.req.valid("json").key), 200);
  });
}

function readVerify(line: Exclude<WireVerifyLine, { line: "failed" }>): LineReading {
  if (line.line === "progress") return { passing: true, progress: line.objects / Math.max(1, line.objectsTotal) };
  const left = line.line === "end" ? line.findings - line.repaired : 0;
  return { passing: false, failure: left === 0 ? undefined : `objects that are damaged or missing: ${left}` };
}

/** Routes of tiers, and of vaults that are opened from one. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { errorText } from "../base/errors.ts";
import { LINES_TYPE, routes, type SyncLine, type WireVerifyLine } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { controlOnly } from "./guard.ts";
import { lineStream } from "./line-stream.ts";
import { recordEvent, startedJob } from "./record.ts";

export function registerTierRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { tiers } = context.appliance;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listTiers, (c) => c.json({ tiers: tiers.list(c.req.valid("param").name) }, 200));

  app.openapi(routes.addTier, async (c) => {
    controlOnly(c.env, "adding a tier");
    const { name } = c.req.valid("param");
    const tier = await tiers.add(name, c.req.valid("json"));
    tell("info", "tier-added", name, `vault ${name} is also kept at ${tier.url} (${tier.name}, ${tier.mode})`);
    return c.json(tier, 201, { location: `/v1/vaults/${name}/tiers` });
  });

  app.openapi(routes.removeTier, async (c) => {
    controlOnly(c.env, "removing a tier");
    const { name, tier } = c.req.valid("param");
    await tiers.remove(name, tier);
    tell("warning", "tier-removed", name, `vault ${name} has no tier ${tier} any more; what lies there stays`);
    return c.body(null, 204);
  });

  app.openapi(routes.syncTiers, async (c) => {
    const { name } = c.req.valid("param");
    const body = await lineStream(syncLines(context, name, c.req.valid("json").tier), context.log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });

  app.openapi(routes.verifyTier, async (c) => {
    const { name, tier } = c.req.valid("param");
    const { repair = false } = c.req.valid("json");
    const body = await lineStream(verifyLines(context, name, tier, repair), context.log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });

  app.openapi(routes.openVaultFrom, async (c) => {
    controlOnly(c.env, "opening a vault from a tier");
    const request = c.req.valid("json");
    const vault = await tiers.open(request);
    const how = request.takeOver === true ? "taken over" : "opened for reading";
    tell("warning", "vault-opened-from-tier", request.name, `vault ${request.name} was ${how} from ${request.url}`);
    return c.json(vault, 201, { location: `/v1/vaults/${request.name}` });
  });

  app.openapi(routes.takeOverVault, async (c) => {
    controlOnly(c.env, "taking a vault over");
    const { name } = c.req.valid("param");
    const vault = await tiers.takeOver(name, c.req.valid("json").key);
    tell("warning", "vault-taken-over", name, `vault ${name} is written to by this appliance now`);
    return c.json(vault, 200);
  });

  app.openapi(routes.refreshVault, async (c) => {
    controlOnly(c.env, "refreshing a vault");
    return c.json(await tiers.refresh(c.req.valid("param").name, c.req.valid("json").key), 200);
  });
}

/** Leaving it early stops the waiting. */
async function* syncLines(context: ApiContext, vault: string, tier: string | undefined): AsyncGenerator<SyncLine> {
  const stop = new AbortController();
  try {
    yield* context.appliance.tiers.sync(vault, tier, stop.signal);
  } finally {
    stop.abort();
  }
}

async function* verifyLines(
  context: ApiContext,
  vault: string,
  tier: string,
  repair: boolean,
): AsyncGenerator<WireVerifyLine> {
  const stop = new AbortController();
  const job = startedJob(context, "verify-tier", `${vault}/${tier}`);
  let outcome: string | undefined = "stopped by its client";
  try {
    for await (const line of context.appliance.tiers.verify(vault, tier, repair, stop.signal)) {
      if (line.line === "progress") job.progress(line.objects / Math.max(1, line.objectsTotal));
      if (line.line === "end") {
        const left = line.findings - line.repaired;
        outcome = left === 0 ? undefined : `objects that are damaged or missing: ${left}`;
      }
      yield line;
    }
  } catch (error) {
    outcome = errorText(error);
    throw error;
  } finally {
    stop.abort();
    job.finish(outcome);
  }
}

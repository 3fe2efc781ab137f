/** Routes of vaults. A key that a request carries reaches the vault alone: it is in no event and no error. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

export function registerVaultRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { vaults } = context.appliance;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listVaults, async (c) => c.json({ vaults: await vaults.list() }, 200));

  app.openapi(routes.getVaultNamed, async (c) => c.json(await vaults.show(c.req.valid("param").name), 200));

  app.openapi(routes.getVaultSpace, async (c) => c.json(await vaults.space(c.req.valid("param").name), 200));

  app.openapi(routes.createVault, async (c) => {
    const { name, encrypt } = c.req.valid("json");
    const made = await vaults.create(name, encrypt);
    tell(
      "info",
      "vault-created",
      name,
      `vault ${name} was made, ${encrypt === undefined ? "not encrypted" : "encrypted"}`,
    );
    return c.json(made, 201, { location: `/v1/vaults/${name}` });
  });

  app.openapi(routes.lockVault, async (c) => {
    const { name } = c.req.valid("param");
    const vault = await vaults.lock(name, { force: c.req.valid("json").force ?? false });
    tell("warning", `vault-${vault.state}`, name, `vault ${name} is ${vault.state} now; its volumes are not served`);
    return c.json(vault, 200);
  });

  app.openapi(routes.unlockVault, async (c) => {
    const { name } = c.req.valid("param");
    try {
      const vault = await vaults.unlock(name, c.req.valid("json").key);
      tell("info", "vault-opened", name, `vault ${name} is open and ${vault.state}`);
      return c.json(vault, 200);
    } catch (error) {
      // Somebody who tries keys is worth a line.
      if (error instanceof SternwayError && error.kind === "denied") {
        tell("warning", "vault-unlock-denied", name, `vault ${name} was not unlocked: ${error.message}`);
      }
      throw error;
    }
  });

  app.openapi(routes.deleteVault, async (c) => {
    const { name } = c.req.valid("param");
    const { confirm } = c.req.valid("json");
    await vaults.remove(name, confirm === undefined ? {} : { confirm });
    tell("warning", "vault-deleted", name, `vault ${name} and all that it stored were deleted`);
    return c.body(null, 204);
  });

  app.openapi(routes.forgetVault, async (c) => {
    const { name } = c.req.valid("param");
    await vaults.forget(name);
    tell("warning", "vault-forgotten", name, `vault ${name} is gone and was struck off the list`);
    return c.body(null, 204);
  });
}

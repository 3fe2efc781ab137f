/** Routes of machines, and of the scripts that run around their bookmarks. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { formatTime } from "../base/units.ts";
import type { MachineBookmark, MachineMoment, MachineState, VolumeRollback } from "../automation/automation.ts";
import { routes } from "../contract/contract.ts";
import type { WireMachine, WireMachineBookmark, WireMachineMoment, WireMachineRollback } from "../contract/machines.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { seesMachine } from "./authority.ts";
import { asJob, recordEvent } from "./record.ts";
import { wireBookmark, wireMoment, wireVolume } from "./wire.ts";

export function registerMachineRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { machines, folder } = context.automation;
  const tell = (level: "info" | "warning" | "alert", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listMachines, (c) => {
    const seen = machines.list().filter(({ name }) => seesMachine(c.get("principal"), name));
    return c.json({ machines: seen.map(wireMachine) }, 200);
  });

  app.openapi(routes.createMachine, (c) => {
    const { description = "", scripts = null, ...wanted } = c.req.valid("json");
    const made = machines.add({ ...wanted, description, scripts });
    tell("info", "machine-created", made.name, `machine ${made.name} was made of ${namesOf(made)}`);
    return c.json(wireMachine(made), 201, { location: `/v1/machines/${made.name}` });
  });

  app.openapi(routes.getMachine, (c) => c.json(wireMachine(machines.get(c.req.valid("param").name)), 200));

  app.openapi(routes.changeMachine, (c) => {
    const { name } = c.req.valid("param");
    const before = machines.get(name).volumes;
    const changed = machines.change(name, c.req.valid("json"));
    const left = before.map((info) => info.name).filter((each) => changed.volumes.every((info) => info.name !== each));
    for (const credential of left.length > 0 ? context.catalog.credentials.ofMachine(name) : [])
      context.credentials.revoke(credential, left);
    tell("info", "machine-changed", name, `machine ${name} was changed; it has ${namesOf(changed)}`);
    return c.json(wireMachine(changed), 200);
  });

  app.openapi(routes.deleteMachine, (c) => {
    const { name } = c.req.valid("param");
    machines.remove(name);
    // One of the same name that is made later is another machine.
    for (const credential of context.catalog.credentials.ofMachine(name)) context.credentials.revoke(credential);
    context.catalog.credentials.removeAll(name);
    context.access.accounts.withoutMachine(name);
    tell("info", "machine-deleted", name, `machine ${name} was forgotten; its volumes stay`);
    return c.body(null, 204);
  });

  app.openapi(routes.resolveMachineMoment, async (c) => {
    const { name } = c.req.valid("param");
    return c.json(wireMachineMoment(await machines.resolve(name, c.req.valid("query").at)), 200);
  });

  app.openapi(routes.listMachineBookmarks, (c) =>
    c.json({ bookmarks: machines.bookmarks(c.req.valid("param").name).map(wireMachineBookmark) }, 200),
  );

  app.openapi(routes.createMachineBookmark, async (c) => {
    const { name } = c.req.valid("param");
    const { scripts: wantsScripts = true, ...request } = c.req.valid("json");
    const scripts = wantsScripts ? (machines.get(name).scripts ?? undefined) : undefined;
    const askedBy = c.get("principal")?.name;
    const made = await asJob(
      context,
      "bookmark",
      name,
      () => machines.bookmark(name, { ...request, scripts }),
      askedBy,
    );
    const { consistency } = made;
    const message = `bookmark ${request.name} was made on machine ${name}, ${consistency}-consistent`;
    tell("info", "machine-bookmarked", name, message);
    return c.json({ ...wireMachineBookmark(made.result), consistency, scripts: made.scripts }, 201);
  });

  app.openapi(routes.deleteMachineBookmark, async (c) => {
    const { name, bookmark } = c.req.valid("param");
    await machines.removeBookmark(name, bookmark);
    tell("info", "machine-bookmark-removed", name, `bookmark ${bookmark} of machine ${name} was removed`);
    return c.body(null, 204);
  });

  app.openapi(routes.rollbackMachine, async (c) => {
    const { name } = c.req.valid("param");
    const { to, ...options } = c.req.valid("json");
    // As for a volume: a moment that is none is its asker's mistake, and no job that failed.
    await machines.resolve(name, to);
    const askedBy = c.get("principal")?.name;
    const done = await asJob(context, "rollback", name, () => machines.rollback(name, to, options), askedBy);
    const answer = wireRollback(done);
    if (answer.outcome === "done") {
      const message = `machine ${name} was rolled back to ${to}; undo by rolling back to ${done.undo}`;
      tell("warning", "machine-rolled-back", name, message);
      return c.json(answer, 200);
    }
    const states = done.volumes.map(({ volume, state, error }) => `${volume} ${state}${error ? ` (${error})` : ""}`);
    const message = `machine ${name} was rolled back to ${to} in part: ${states.join(", ")}; what was rolled back is undone by rolling it back to ${done.undo}`;
    tell("alert", "machine-rolled-back-partly", name, message);
    return c.json(answer, 207);
  });

  app.openapi(routes.branchMachine, async (c) => {
    const { name } = c.req.valid("param");
    const { at, ...options } = c.req.valid("json");
    const made = await machines.branch(name, at, options);
    const names = made.map((info) => info.name).join(", ");
    tell("info", "machine-branched", name, `machine ${name} was branched at ${at} as ${names}`);
    return c.json({ volumes: made.map(wireVolume) }, 201);
  });

  app.openapi(routes.listScripts, (c) => c.json(folder.list(), 200));
}

function namesOf({ volumes, missing }: MachineState): string {
  const names = volumes.map(({ name }) => name).join(", ");
  return missing.length === 0 ? names : `${names} and ${missing.length} that cannot be had now`;
}

function wireMachine({ scripts, volumes, missing, ...machine }: MachineState): WireMachine {
  return {
    ...machine,
    createdAt: formatTime(machine.createdAt),
    volumes: volumes.map(wireVolume),
    missing: missing.map((each) => ({ ...each, createdAt: formatTime(each.createdAt) })),
    ...(scripts === null ? {} : { scripts }),
  };
}

function wireMachineMoment({ isOne, volumes }: MachineMoment): WireMachineMoment {
  return { isOne, volumes: volumes.map(({ moment, ...rest }) => ({ ...rest, ...wireMoment(moment) })) };
}

function wireMachineBookmark({ createdAt, volumes, ...rest }: MachineBookmark): WireMachineBookmark {
  return {
    ...rest,
    createdAt: formatTime(createdAt),
    volumes: volumes.map(({ volume, bookmark }) => ({ volume, ...wireBookmark(bookmark) })),
  };
}

function wireRollback({ undo, volumes }: { undo: string; volumes: VolumeRollback[] }): WireMachineRollback {
  return {
    outcome: volumes.every(({ state }) => state === "rolled-back") ? "done" : "partly",
    undo,
    volumes: volumes.map(({ undoLsn, to, ...rest }) => ({ ...rest, to: wireMoment(to), undo: `lsn:${undoLsn}` })),
  };
}

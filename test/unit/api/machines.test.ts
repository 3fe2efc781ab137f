/** Machines and scripts over the API, with volumes in memory. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

let api: ApiFixture;
beforeEach(async () => {
  api = await openApiFixture();
  for (const name of ["a", "b", "loose"]) await api.volumes.create(name, 8192);
});
afterEach(() => api[Symbol.dispose]());

const send = (method: string, path: string, body?: unknown): Promise<Response> =>
  api.ask(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
const json = async (response: Promise<Response>): Promise<Record<string, unknown>> =>
  (await (await response).json()) as Record<string, unknown>;
const make = (): Promise<Response> => send("POST", "/v1/machines", { name: "web", volumes: ["a", "b"] });
const kinds = (): string[] => api.context.catalog.events({ limit: 100 }).map(({ kind }) => kind);

function place(name: string, body: string): void {
  const path = join(api.dir, "scripts", name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
}

test("a machine is made, shown, changed and forgotten, with an event for each", async () => {
  const made = await make();
  expect([made.status, made.headers.get("location")]).toEqual([201, "/v1/machines/web"]);
  expect(await made.json()).toMatchObject({
    name: "web",
    description: "",
    volumes: [{ name: "a" }, { name: "b" }],
    missing: [],
  });
  expect((await send("POST", "/v1/machines", { name: "web", volumes: ["loose"] })).status).toBe(409);
  const taken = await send("POST", "/v1/machines", { name: "db", volumes: ["a"] });
  expect([taken.status, ((await taken.json()) as { detail: string }).detail]).toEqual([
    409,
    "volume a belongs to machine web already: take it out there first",
  ]);
  const changed = await json(send("PATCH", "/v1/machines/web", { volumes: ["a"], scripts: { pre: "freeze" } }));
  expect(changed).toMatchObject({ volumes: [{ name: "a" }], scripts: { pre: "freeze", timeoutSeconds: 60 } });
  expect(await json(send("PATCH", "/v1/machines/web", { scripts: null }))).not.toHaveProperty("scripts");
  expect(await json(send("GET", "/v1/machines"))).toMatchObject({ machines: [{ name: "web" }] });
  expect((await send("DELETE", "/v1/machines/web")).status).toBe(204);
  expect((await send("GET", "/v1/machines/web")).status).toBe(404);
  expect(kinds()).toEqual(["machine-deleted", "machine-changed", "machine-changed", "machine-created"]);
});

test("what is wrong with a request is said, and nothing is made", async () => {
  const bad: unknown[] = [
    { name: "x", volumes: [] },
    { name: "x", volumes: ["a", "a"] },
    { name: "../x", volumes: ["a"] },
    { name: "x", volumes: ["a"], color: "red" },
    { name: "x", volumes: ["a"], scripts: {} },
    { name: "x", volumes: ["a"], scripts: { pre: "../../bin/sh" } },
    { name: "x", volumes: ["a"], scripts: { pre: "p", timeoutSeconds: 0 } },
    { name: "x", volumes: Array.from({ length: 65 }, (_, i) => `v${i}`) },
  ];
  for (const body of bad) expect((await send("POST", "/v1/machines", body)).status).toBe(400);
  expect((await send("POST", "/v1/machines", { name: "x", volumes: ["nowhere"] })).status).toBe(404);
  expect(await json(send("GET", "/v1/machines"))).toEqual({ machines: [] });
});

test("a bookmark goes over all volumes, between the machine's scripts, and is a job", async () => {
  await make();
  place("freeze", "echo frozen");
  place("thaw", "echo thawed");
  await send("PATCH", "/v1/machines/web", { scripts: { pre: "freeze", post: "thaw" } });
  const made = await send("POST", "/v1/machines/web/bookmarks", { name: "b1", note: "by hand" });
  expect(made.status).toBe(201);
  expect(await made.json()).toMatchObject({
    name: "b1",
    isOne: true,
    consistency: "application",
    scripts: [
      { script: "freeze", phase: "pre", result: "ok", output: "frozen\n" },
      { script: "thaw", phase: "post", result: "ok", output: "thawed\n" },
    ],
    volumes: [
      { volume: "a", name: "b1", note: "by hand; machine web; application-consistent (freeze, thaw)" },
      { volume: "b", name: "b1" },
    ],
  });
  expect(api.context.catalog.jobs({ limit: 1 })).toMatchObject([{ kind: "bookmark", subject: "web", state: "done" }]);
  const plain = await json(send("POST", "/v1/machines/web/bookmarks", { name: "b2", scripts: false }));
  expect(plain).toMatchObject({ consistency: "crash", scripts: [] });
  expect((await json(send("GET", "/v1/machines/web/bookmarks")))["bookmarks"]).toMatchObject([
    { name: "b1" },
    { name: "b2" },
  ]);
  expect((await send("DELETE", "/v1/machines/web/bookmarks/b1")).status).toBe(204);
  expect((await send("DELETE", "/v1/machines/web/bookmarks/b1")).status).toBe(404);
});

test("scripts do not run around a bookmark of the past, and a failing one makes none of the present", async () => {
  await make();
  place("freeze", "echo no; exit 1");
  await send("PATCH", "/v1/machines/web", { scripts: { pre: "freeze" } });
  const past = await json(send("POST", "/v1/machines/web/bookmarks", { name: "p", at: "-0s", approximate: true }));
  expect(past).toMatchObject({ scripts: [], consistency: "crash" });
  const refused = await send("POST", "/v1/machines/web/bookmarks", { name: "now" });
  expect([refused.status, ((await refused.json()) as { detail: string }).detail]).toEqual([
    503,
    "no bookmark now was made: script freeze: it ended with exit code 1 and said: no",
  ]);
  expect(api.context.catalog.jobs({ limit: 1 })).toMatchObject([{ kind: "bookmark", state: "failed" }]);
  expect(api.volumes.bookmarks("a").map(({ name }) => name)).toEqual(["p"]);
});

test("a rollback to a moment that is none is refused, and is no job; one that is done says who asked for it", async () => {
  await make();
  await send("POST", "/v1/machines/web/bookmarks", { name: "good" });
  const jobs = () => api.context.catalog.jobs({ limit: 9 }).filter(({ kind }) => kind === "rollback");
  const events = () => api.context.catalog.events({ limit: 99 }).map(({ kind }) => kind);
  for (const path of ["/v1/machines/web/rollback", "/v1/volumes/a/rollback"]) {
    expect((await send("POST", path, { to: "bookmark:god" })).status).toBe(404);
  }
  expect(jobs()).toEqual([]);
  expect(events()).not.toContain("rollback-failed");
  await send("POST", "/v1/machines/web/rollback", { to: "bookmark:good", approximate: true });
  expect(jobs()).toMatchObject([{ subject: "web", askedBy: "root" }]);
});

test("a rollback that is done in part answers 207 with the state of each volume, and alerts", async () => {
  await make();
  await send("POST", "/v1/machines/web/bookmarks", { name: "good" });
  const whole = await send("POST", "/v1/machines/web/rollback", { to: "bookmark:good", approximate: true });
  expect([whole.status, ((await whole.json()) as { outcome: string }).outcome]).toEqual([200, "done"]);
  const { rollback } = api.volumes;
  api.volumes.rollback = async (name, ...rest) => {
    if (name === "b") throw new Error("the disk is full");
    return await rollback(name, ...rest);
  };
  const partly = await send("POST", "/v1/machines/web/rollback", { to: "bookmark:good", approximate: true });
  expect(partly.status).toBe(207);
  expect(await partly.json()).toMatchObject({
    outcome: "partly",
    undo: expect.stringMatching(/^bookmark:before-rollback-\d{8}T\d{6}Z(-2)?$/),
    volumes: [
      { volume: "a", state: "rolled-back", undo: expect.stringMatching(/^lsn:\d+$/) },
      { volume: "b", state: "failed", error: "the disk is full" },
    ],
  });
  expect(kinds()[0]).toBe("machine-rolled-back-partly");
});

test("branches are made, and their event names them", async () => {
  await make();
  const made = await send("POST", "/v1/machines/web/branches", { at: "now", suffix: "-t" });
  expect([made.status, await made.json()]).toMatchObject([201, { volumes: [{ name: "a-t" }, { name: "b-t" }] }]);
  expect((await send("POST", "/v1/machines/web/branches", { at: "now" })).status).toBe(400);
  expect(kinds()[0]).toBe("machine-branched");
});

test("self-service sees and browses its own machine alone, and what belongs to it", async () => {
  await make();
  await send("POST", "/v1/machines", { name: "other", volumes: ["loose"] });
  const mine = { role: "self-service", machines: ["web"] } as const;
  const listed = (await (await api.askAs(mine, "/v1/machines")).json()) as { machines: { name: string }[] };
  expect(listed.machines.map(({ name }) => name)).toEqual(["web"]);
  const status = async (path: string, init?: RequestInit): Promise<number> =>
    (await api.askAs(mine, path, init)).status;
  expect(await status("/v1/machines/web")).toBe(200);
  expect(await status("/v1/machines/other")).toBe(403);
  expect(await status("/v1/volumes/a")).toBe(200);
  expect(await status("/v1/volumes/loose")).toBe(403);
  const body = {
    method: "POST",
    body: JSON.stringify({ to: "now" }),
    headers: { "content-type": "application/json", host: "127.0.0.1" },
  };
  expect(await status("/v1/machines/web/rollback", body)).toBe(403);
  expect(await status("/v1/scripts")).toBe(403);
  expect(await status("/v1/schedules")).toBe(403);
});

test("scripts are listed with what keeps each from being run", async () => {
  place("freeze", "exit 0");
  writeFileSync(join(api.dir, "scripts", "readme"), "not a program");
  chmodSync(join(api.dir, "scripts", "readme"), 0o644);
  const listed = await json(send("GET", "/v1/scripts"));
  expect(listed).toMatchObject({
    folder: join(api.dir, "scripts"),
    scripts: [
      { name: "freeze", fit: true, mode: "0755" },
      { name: "readme", fit: false, reason: "it is not executable: chmod u+x readme" },
    ],
  });
});

test("what a killed appliance left frozen is thawed at the next start, and told", async () => {
  await make();
  const { automation, catalog } = api.context;
  const trace = join(api.dir, "trace");
  place("thaw", `echo "$STERNWAY_PHASE $STERNWAY_MACHINE [$STERNWAY_VOLUMES] $STERNWAY_OUTCOME" >> ${trace}`);
  const { createdAt, createdLsn, vault } = api.volumes.get("a");
  const row = { machine: "web", volumes: [{ vault, createdLsn, createdAt }], timeoutSeconds: 5, since: createdAt };
  catalog.frozen.add({ ...row, script: "thaw" });
  catalog.frozen.add({ ...row, script: "gone" });
  await automation.machines.thawLeftovers();
  expect(readFileSync(trace, "utf8")).toBe("post web [a] failed\n");
  expect(kinds().slice(0, 2).sort()).toEqual(["script-failed", "script-late"]);
  expect(catalog.frozen.list()).toEqual([]);
});

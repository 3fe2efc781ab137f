/** Credentials of machines over the API: who makes them, and what takes them back. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Credential } from "../../../src/catalog/catalog.ts";
import type { Principal } from "../../../src/contract/rights.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

type Asker = Partial<Principal> & Pick<Principal, "role">;

const sue = { name: "sue", role: "self-service", machines: ["web", "db"] } as const;
const ann = { name: "ann", role: "administrator" } as const;
let api: ApiFixture;
let madeCount: number;
let revoked: unknown[][];

beforeEach(async () => {
  api = await openApiFixture();
  for (const name of ["web1", "web2", "db1"]) await api.volumes.create(name, 8192);
  const { machines } = api.context.automation;
  machines.add({ name: "web", description: "", volumes: ["web1", "web2"], scripts: null });
  machines.add({ name: "db", description: "", volumes: ["db1"], scripts: null });
  await api.context.access.accounts.add({ ...sue, password: "correct horse battery" });
  madeCount = 0;
  revoked = [];
  Object.assign(api.context.credentials, {
    make: async () => ({ certificatePem: "", keyPem: "", authorityPem: "", fingerprint: `print-${++madeCount}` }),
    user: async (text: string) => ({ uid: 107, user: text }),
    revoke: ({ fingerprint }: Credential, ...words: unknown[]) => void revoked.push([fingerprint, ...words]),
  });
});
afterEach(() => api[Symbol.dispose]());

const sent = (method: string, body?: unknown): RequestInit => ({
  method,
  ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
});
const make = async (who: Asker, machine: string, body: object = {}): Promise<number> =>
  (await api.askAs(who, `/v1/machines/${machine}/credentials`, sent("POST", { name: "laptop", ...body }))).status;
const printsOf = (machine: string): (string | null)[] =>
  api.context.catalog.credentials.ofMachine(machine).map(({ fingerprint }) => fingerprint);

test("a credential of self-service is taken back when the machine is not its maker's any more", async () => {
  expect(await make(sue, "web")).toBe(201);
  expect(await make(sue, "db")).toBe(201);
  expect(await make({ ...ann, name: "sue" }, "web", { readOnly: false })).toBe(201);
  expect((await api.ask("/v1/accounts/sue", sent("PATCH", { machines: ["db"] }))).status).toBe(200);
  expect([printsOf("web"), printsOf("db")]).toEqual([["print-3"], ["print-2"]]);
  expect(revoked).toEqual([["print-1"]]);
  const [event] = api.context.catalog.events({ limit: 10 }).filter(({ kind }) => kind === "credential-removed");
  expect(event).toMatchObject({ subject: "web", message: expect.stringContaining("sue, who made it") });
});

test("a credential of self-service goes with its account, and an administrator's stays", async () => {
  expect(await make(sue, "web")).toBe(201);
  expect(await make(ann, "web")).toBe(201);
  expect((await api.ask("/v1/accounts/sue", sent("DELETE"))).status).toBe(204);
  expect(printsOf("web")).toEqual(["print-2"]);
  expect(revoked).toEqual([["print-1"]]);
});

test("an API token makes none, which would outlast it, unless it may do everything anyway", async () => {
  expect(await make({ ...sue, by: "token" }, "web")).toBe(403);
  expect(await make({ name: "olga", role: "operator", by: "token" }, "web")).toBe(403);
  expect(await make({ ...ann, by: "token" }, "web")).toBe(201);
});

test("a machine that is forgotten while a credential for it is made leaves none to another of its name", async () => {
  const { machines } = api.context.automation;
  const { make: makePems } = api.context.credentials;
  api.context.credentials.make = async (...words) => {
    machines.remove("web");
    return await makePems(...words);
  };
  expect(await make(ann, "web")).toBe(404);
  expect(printsOf("web")).toEqual([]);
});

test("a machine that is forgotten is nobody's own any more, so another of its name is not either", async () => {
  const { accounts, sessions } = api.context.access;
  const opened = sessions.open(accounts.get("sue"), { headers: new Headers(), secure: false, from: "" });
  expect((await api.ask("/v1/machines/web", sent("DELETE"))).status).toBe(204);
  expect(accounts.get("sue").machines).toEqual(["db"]);
  expect(sessions.find(new Headers({ cookie: opened.cookie.split(";")[0]! }), false)).toBeUndefined();
});

test("a disk that leaves a machine ends the connections to it, and no others", async () => {
  expect(await make(ann, "web", { readOnly: false })).toBe(201);
  expect((await api.ask("/v1/machines/web", sent("PATCH", { description: "shop" }))).status).toBe(200);
  expect(revoked).toEqual([]);
  expect((await api.ask("/v1/machines/web", sent("PATCH", { volumes: ["web2"] }))).status).toBe(200);
  expect(revoked).toEqual([["print-1", ["web1"]]]);
});

test("a credential for a local user is made by administrators alone, and names the socket and no key", async () => {
  const wish = { name: "vms", user: "libvirt-qemu" };
  for (const who of [sue, { name: "olga", role: "operator" }] as const) expect(await make(who, "web", wish)).toBe(403);
  const path = "/v1/machines/web/credentials";
  const ask = async () => await (await api.askAs(ann, path, sent("POST", { ...wish, readOnly: false }))).json();
  const user = { name: "libvirt-qemu", uid: 107 };
  expect(await ask()).toEqual({
    id: 1,
    name: "vms",
    user,
    readOnly: false,
    createdBy: "ann",
    createdAt: expect.any(String),
    expiresAt: expect.any(String),
  });
  api.context.doors = () => ({ socketPath: "/data/nbd.sock", localSocketPath: "/run/sternway/nbd.sock", nbd: [] });
  expect(await ask()).toMatchObject({ id: 2, socketPath: "/run/sternway/nbd.sock" });
  expect(await (await api.askAs(ann, path)).json()).toMatchObject({
    credentials: [
      { id: 1, user },
      { id: 2, user },
    ],
  });
  expect(JSON.stringify(api.context.catalog.events({ limit: 10 }))).toContain("the local user libvirt-qemu (uid 107)");
  for (const bad of ["", "-i", "a b", "x:y", "../x", "a\nb"])
    expect(await make(ann, "web", { ...wish, user: bad })).toBe(400);
});

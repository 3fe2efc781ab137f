import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { routes, type OperationId } from "../../../src/contract/contract.ts";
import { NEEDS, type Role } from "../../../src/contract/rights.ts";
import { seesMachine, seesVolume } from "../../../src/api/authority.ts";
import { LOOPBACK, openApiFixture } from "../../support/api-fixture.ts";

const own = { role: "self-service", machines: ["web"] } as const;
const ownership = {
  machineOf: (volume: string) => (volume.startsWith("web") ? "web" : volume === "db1" ? "db" : undefined),
  owners: () =>
    new Map([
      ["web1", "web"],
      ["db1", "db"],
    ]),
};

/** A path of an operation, about the volume, machine or thing `name`. */
function pathOf(operation: OperationId, name: string): string {
  return routes[operation].path.replaceAll(/\{[^}]+\}/g, (part) => (part === "{name}" ? name : "1"));
}

const tcp = (path: string, headers: Record<string, string> = {}): Request =>
  new Request(`http://127.0.0.1${path}`, { headers: { host: "127.0.0.1", ...headers } });

describe("authority", () => {
  test("whoever has not signed in gets at what is open to anyone, and nothing else", async () => {
    using fixture = await openApiFixture();
    for (const [operation, { method }] of Object.entries(routes)) {
      if (NEEDS[operation as OperationId].right === "anyone") continue;
      const request = new Request(`http://127.0.0.1${pathOf(operation as OperationId, "web1")}`, {
        method: method.toUpperCase(),
        headers: { host: "127.0.0.1" },
      });
      const response = await fixture.answer(request, LOOPBACK);
      expect([operation, response.status]).toEqual([operation, 401]);
    }
    expect((await fixture.answer(tcp("/healthz"), LOOPBACK)).status).toBe(200);
  });

  test("401 says how to sign in", async () => {
    using fixture = await openApiFixture();
    const response = await fixture.answer(tcp("/v1/volumes"), LOOPBACK);
    expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
    expect(await response.json()).toMatchObject({ kind: "denied", todo: expect.stringContaining("/v1/session") });
  });

  test("credentials that do not count are refused even where none are needed", async () => {
    using fixture = await openApiFixture();
    fixture.context.access.authenticate = async () => ({
      refused: new SternwayError("denied", "the token has expired", { status: 401 }),
    });
    expect((await fixture.answer(tcp("/healthz"), LOOPBACK)).status).toBe(401);
  });

  test("the control socket is root's", async () => {
    using fixture = await openApiFixture();
    expect((await fixture.ask("/v1/volumes")).status).toBe(200);
  });

  test("self-service reads its own machines' volumes and nobody else's", async () => {
    using fixture = await openApiFixture();
    Object.assign(fixture.context.ownership, ownership);
    await fixture.volumes.create("web1", 2 ** 20);
    await fixture.volumes.create("db1", 2 ** 20);
    expect((await fixture.askAs(own, "/v1/volumes/web1")).status).toBe(200);
    expect((await fixture.askAs(own, "/v1/volumes/web1/image", { method: "HEAD" })).status).toBe(200);
    expect((await fixture.askAs(own, "/v1/volumes/db1")).status).toBe(403);
    expect((await fixture.askAs(own, "/v1/volumes/db1/image")).status).toBe(403);
    // What is there, and what is not, look alike to somebody who may not know.
    expect((await fixture.askAs(own, "/v1/volumes/nothing")).status).toBe(403);
    expect((await fixture.askAs(own, "/v1/disks")).status).toBe(403);
    const listed = (await (await fixture.askAs(own, "/v1/volumes")).json()) as { volumes: { name: string }[] };
    expect(listed.volumes.map(({ name }) => name)).toEqual(["web1"]);
  });

  test("a list of branches leaves out those that are somebody else's", async () => {
    using fixture = await openApiFixture();
    await fixture.volumes.create("web1", 2 ** 20);
    for (const name of ["web1-mine", "web1-audit-case"]) await fixture.volumes.branch("web1", { kind: "now" }, name);
    fixture.context.automation.machines.add({
      name: "web",
      description: "",
      volumes: ["web1", "web1-mine"],
      scripts: null,
    });
    const listed = async (role: Role): Promise<string[]> => {
      const response = await fixture.askAs({ role, machines: ["web"] }, "/v1/volumes/web1/branches");
      return ((await response.json()) as { volumes: { name: string }[] }).volumes.map(({ name }) => name);
    };
    expect(await listed("self-service")).toEqual(["web1-mine"]);
    expect(await listed("auditor")).toEqual(["web1-audit-case", "web1-mine"]);
  });

  test("a list of many volumes is not gone through once for each of them", async () => {
    using fixture = await openApiFixture();
    const names = Array.from({ length: 50 }, (_, i) => `web${i}`);
    for (const name of names) await fixture.volumes.create(name, 2 ** 20);
    fixture.context.automation.machines.add({ name: "web", description: "", volumes: names, scripts: null });
    const list = fixture.volumes.list.bind(fixture.volumes);
    let count = 0;
    fixture.volumes.list = () => {
      count++;
      return list();
    };
    const { volumes } = (await (await fixture.askAs(own, "/v1/volumes?limit=100")).json()) as { volumes: unknown[] };
    expect(volumes.length).toBe(50);
    expect(count).toBeLessThan(5);
  });

  test("a path that is written in another way is about the same volume", async () => {
    using fixture = await openApiFixture();
    Object.assign(fixture.context.ownership, ownership);
    await fixture.volumes.create("db1", 2 ** 20);
    for (const path of [
      "/v1/volumes/db1/",
      "/v1//volumes/db1",
      "/v1/volumes/%64b1",
      "/v1/volumes/web1/../db1",
      "/v1/volumes/web1%2f..%2fdb1",
    ]) {
      const response = await fixture.askAs(own, path);
      expect([path, response.status >= 400]).toEqual([path, true]);
    }
  });

  test("seesVolume() and seesMachine() let everybody but self-service see all", () => {
    for (const role of ["administrator", "operator", "auditor"] satisfies Role[]) {
      const principal = { name: "x", role, machines: [], by: "session" } as const;
      expect(seesVolume(principal, "db1", ownership)).toBe(true);
      expect(seesMachine(principal, "db")).toBe(true);
    }
    const principal = { name: "x", machines: ["web"], role: "self-service", by: "session" } as const;
    expect(seesVolume(principal, "web1", ownership)).toBe(true);
    expect(seesVolume(principal, "lone", ownership)).toBe(false);
    expect(seesMachine(principal, "db")).toBe(false);
    expect(seesVolume(undefined, "web1", ownership)).toBe(false);
  });
});

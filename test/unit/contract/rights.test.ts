/**
 * Who may do what, role by role and operation by operation: the table of rights against a list that is written the other way round, and the API itself
 * against the same list. What a role may is listed here, so a new operation is for administrators until somebody writes it down a second time.
 */
import { describe, expect, test } from "bun:test";
import { routes, type OperationId } from "../../../src/contract/contract.ts";
import { NEEDS, ROLES, roleMay, type Principal, type Role } from "../../../src/contract/rights.ts";
import { LOOPBACK, openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const operations = Object.keys(routes) as OperationId[];
const words = (text: string): string[] => text.trim().split(/\s+/);

/** Without signing in. */
const NOBODY = words(`getHealth getSetup setUp signIn startOidc finishOidc`);
/** About one's own account. */
const OWN = words(
  `getSession signOut changePassword beginTotp confirmTotp turnTotpOff listTokens addToken removeToken listSessions endSessions endSession`,
);
/** Names, states and timelines of volumes and machines: self-service only of its own. */
const LOOK = words(
  `listVolumes getVolume resolveMoment getTimeline listFlushPoints listBranches listBookmarks getRetention listHolds getDoors
   listMachines getMachine resolveMachineMoment listMachineBookmarks listCredentials getSignals`,
);
/** Content of the past: self-service only of its own, auditors not at all. */
const CONTENT = words(`getImage headImage listExtents getDiff createCredential`);
/** How the appliance stands. */
const APPLIANCE = words(
  `planRetention getMetrics getVault listVaults getVaultNamed getVaultSpace listTiers getScrub listDisks listJobs getJob followJob listEvents
   listEventKinds getGrowth listSchedules getSchedule previewSchedule listAlarms`,
);
/** What an operator does with disks and the appliance. */
const OPERATE = words(
  `rollbackVolume createBranch createBookmark deleteBookmark createHold runGc syncTiers verifyTier refreshVault startCheck startScrub cancelJob
   createMachineBookmark deleteMachineBookmark rollbackMachine branchMachine runSchedule acknowledgeAlarm`,
);
const AUDIT = words(`listAudit exportAudit getAuditKey listReports getReport`);

const MAY: Record<Exclude<Role, "administrator">, ReadonlySet<string>> = {
  operator: new Set([...NOBODY, ...OWN, ...LOOK, ...CONTENT, ...APPLIANCE, ...OPERATE]),
  "self-service": new Set([...NOBODY, ...OWN, ...LOOK, ...CONTENT]),
  auditor: new Set([...NOBODY, ...OWN, ...LOOK, ...APPLIANCE, ...AUDIT]),
};
const may = (role: Role, operation: OperationId): boolean => role === "administrator" || MAY[role].has(operation);

describe("the table of rights", () => {
  test.each([...ROLES])("gives the role %s what is written down, and nothing else", (role) => {
    const given = operations.filter((operation) => roleMay(role, operation));
    expect(given).toEqual(operations.filter((operation) => may(role, operation)));
  });

  test("lets nobody in without signing in but where that is written down", () => {
    const open = operations.filter((operation) => NEEDS[operation].right === "anyone");
    expect<string[]>(open.toSorted()).toEqual(NOBODY.toSorted());
  });

  test("asks whose it is wherever self-service gets at one volume or machine", () => {
    for (const operation of operations) {
      const { scope } = NEEDS[operation];
      const { path } = routes[operation];
      if (!MAY["self-service"].has(operation) || [...NOBODY, ...OWN].includes(operation)) continue;
      const expected = path.startsWith("/v1/volumes/{name}")
        ? "volume"
        : path.startsWith("/v1/machines/{name}")
          ? "machine"
          : "filtered";
      expect([operation, scope]).toEqual([operation, expected]);
    }
  });

  test("lets those who may only look do nothing but read; a plan and a preview are asked for with a body", () => {
    const posted = [...LOOK, ...APPLIANCE, ...AUDIT].filter((operation) => {
      const method: string = routes[operation as OperationId]?.method ?? "get";
      return method !== "get" && method !== "head";
    });
    expect(posted.toSorted()).toEqual(["planRetention", "previewSchedule"]);
  });
});

/** The path of a route about somebody's volume `V` and machine `M`. */
function pathOf(operation: OperationId, own: boolean): string {
  const { path } = routes[operation];
  const name = path.startsWith("/v1/machines/") ? (own ? "web" : "db") : own ? "web1" : "db1";
  return path.replace("{name}", name).replaceAll(/\{[^}]+\}/g, "1");
}

async function ask(api: ApiFixture, principal: Principal | undefined, operation: OperationId, own = true) {
  const stop = new AbortController();
  const init: RequestInit = { method: routes[operation].method.toUpperCase(), signal: stop.signal };
  const path = pathOf(operation, own);
  const request = new Request(`http://127.0.0.1${path}`, { ...init, headers: { host: "127.0.0.1" } });
  const response = principal ? await api.askAs(principal, path, init) : await api.answer(request, LOOPBACK);
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json") === true;
  // HEAD has its answer in the status alone.
  const text = isProblem && init.method !== "HEAD" ? await response.text() : "{}";
  const { detail } = JSON.parse(text) as { detail?: string };
  await response.body?.cancel().catch(() => undefined);
  stop.abort();
  return { status: response.status, detail };
}

/** What the table answers, as against what a handler may still find wrong. */
const REFUSED = /does not allow this|is not for the role|is not one of your machines/;

async function fixtureWithOwners(): Promise<ApiFixture> {
  const api = await openApiFixture();
  Object.assign(api.context.ownership, { machineOf: (volume: string) => ({ web1: "web", db1: "db" })[volume] });
  for (const name of ["web1", "db1"]) await api.volumes.create(name, 2 ** 20);
  return api;
}

describe("the API", () => {
  test.each([...ROLES])("refuses the role %s by the same list, whatever the request says", async (role) => {
    using api = await fixtureWithOwners();
    const principal: Principal = { name: "somebody", role, machines: ["web"], by: "session" };
    for (const operation of operations) {
      const { status, detail } = await ask(api, principal, operation);
      expect([operation, status === 403 && REFUSED.test(detail ?? "does not allow this")]).toEqual([
        operation,
        !may(role, operation),
      ]);
    }
  });

  test("refuses self-service everything about what is somebody else's", async () => {
    using api = await fixtureWithOwners();
    const principal: Principal = { name: "somebody", role: "self-service", machines: ["web"], by: "token" };
    for (const operation of operations) {
      const { path } = routes[operation];
      if (!path.startsWith("/v1/volumes/{name}") && !path.startsWith("/v1/machines/{name}")) continue;
      expect([operation, (await ask(api, principal, operation, false)).status]).toEqual([operation, 403]);
    }
  });

  test("asks everybody else to sign in, before it looks at the request", async () => {
    using api = await fixtureWithOwners();
    for (const operation of operations) {
      const { status } = await ask(api, undefined, operation);
      if (NOBODY.includes(operation)) expect([operation, status === 403]).toEqual([operation, false]);
      else expect([operation, status]).toEqual([operation, 401]);
    }
  });

  test("knows no route that the table does not", async () => {
    using api = await fixtureWithOwners();
    const document = (await (await api.ask("/openapi.json")).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const known = new Set(operations.map((operation) => `${routes[operation].method} ${routes[operation].path}`));
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods))
        expect([`${method} ${path}`, known.has(`${method} ${path}`)]).toEqual([`${method} ${path}`, true]);
    }
  });
});

/** What requests leave in the audit, and what the API gives of it. */
import { describe, expect, test } from "bun:test";
import { AuditTrail, verifyAudit, type AuditEntry } from "../../../src/audit/audit.ts";
import { createApi } from "../../../src/api/app.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { CONTROL, LOOPBACK, openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** Newest last, without what the appliance itself says. */
async function entriesOf(api: ApiFixture): Promise<AuditEntry[]> {
  const { entries } = await api.context.audit.list({ limit: 1000 });
  return entries.filter((entry) => entry.who !== "appliance").toReversed();
}
const shortly = ({ who, action, subject, result }: AuditEntry): string => `${who} ${action} ${subject} ${result}`;

describe("a request", () => {
  test("that changes something is entered with who, from where, what and the result", async () => {
    using api = await openApiFixture();
    const ann = { name: "ann", role: "administrator" } as const;
    await api.askAs(ann, "/v1/volumes", post({ name: "web1", sizeBytes: 2 ** 20 }));
    await api.askAs(ann, "/v1/volumes", post({ name: "web1", sizeBytes: 2 ** 20 }));
    await api.ask("/v1/volumes/web1/bookmarks", post({ name: "b1", note: "a note is nobody's business" }));
    await api.ask("/v1/volumes/web1/bookmarks/b1", { method: "DELETE" });
    const entries = await entriesOf(api);
    expect(entries.map(shortly)).toEqual([
      "ann createVolume web1 done",
      // Which vault it would have been in is not known, and it may be an encrypted one.
      `ann createVolume ${api.context.audit.printOf("web1")} failed`,
      "root createBookmark web1 done",
      "root deleteBookmark web1/b1 done",
    ]);
    expect(entries[0]).toMatchObject({
      role: "administrator",
      by: "session",
      from: "127.0.0.1",
      detail: { status: 201, fields: "name sizeBytes", name: "web1", sizeBytes: 2 ** 20 },
    });
    expect(entries[2]).toMatchObject({
      by: "control",
      from: "",
      detail: { status: 201, fields: "name note", name: "b1" },
    });
    expect(JSON.stringify(entries)).not.toContain("business");
  });

  test("is answered when its entry is durable, not before", async () => {
    using api = await openApiFixture();
    const order: string[] = [];
    const { audit } = api.context;
    const called = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const slow = {
      ...audit,
      append: async (...facts: Parameters<typeof audit.append>) => {
        called.resolve();
        await held.promise;
        order.push("kept");
        return await audit.append(...facts);
      },
    };
    const answer = createApi({ ...api.context, audit: slow });
    const asked = answer(new Request("http://localhost/v1/gc", post({})), CONTROL).then(() => order.push("answered"));
    await called.promise;
    // Others are answered meanwhile.
    for (let i = 0; i < 10; i++)
      expect((await answer(new Request("http://localhost/v1/volumes"), CONTROL)).status).toBe(200);
    expect(order).toEqual([]);
    held.resolve();
    await asked;
    expect(order).toEqual(["kept", "answered"]);
  });

  test("that was refused is entered, whoever it came from and whatever refused it", async () => {
    using api = await openApiFixture();
    await api.volumes.create("web1", 2 ** 20);
    await api.askAs({ name: "aud", role: "auditor" }, "/v1/volumes/web1/image");
    await api.askAs({ name: "eve", role: "self-service" }, "/v1/volumes/web1");
    await api.answer(new Request("http://127.0.0.1/v1/volumes", { headers: { host: "127.0.0.1" } }), LOOPBACK);
    await api.answer(new Request("http://evil.example/v1/volumes", { headers: { host: "evil.example" } }), LOOPBACK);
    expect((await entriesOf(api)).map(shortly)).toEqual([
      "aud getImage web1 refused",
      "eve getVolume web1 refused",
      "- listVolumes appliance refused",
      "- request GET /v1/volumes refused",
    ]);
  });

  test("for content is entered; one that only looks is not", async () => {
    using api = await openApiFixture();
    await api.volumes.create("web1", 2 ** 20);
    for (const path of ["", "/image?at=now", "/timeline", "/diff?from=now", "/extents", "/retention"]) {
      await (await api.ask(`/v1/volumes/web1${path}`)).arrayBuffer();
    }
    await api.ask("/v1/volumes/web1/image", { method: "HEAD" });
    await api.ask("/v1/volumes/web1/retention/plan", post({}));
    const entries = await entriesOf(api);
    expect(entries.map(shortly)).toEqual([
      "root getImage web1 done",
      "root getDiff web1 done",
      "root listExtents web1 done",
    ]);
    expect(entries[0]?.detail).toMatchObject({ at: "now" });
  });

  test("never brings a secret into the audit", async () => {
    using api = await openApiFixture();
    const secrets = { passphrase: "hunter2-hunter2" };
    await api.ask("/v1/vaults", post({ name: "payroll", encrypt: secrets }));
    await api.ask("/v1/vaults/payroll/unlock", post({ key: secrets }));
    await api.ask("/v1/session", post({ name: "ann", password: "hunter2-hunter2", code: "123456" }));
    await api.ask("/v1/received", post({ name: "peer" }));
    await api.ask("/v1/received", post({ "hunter2-hunter2": "x".repeat(10_000), password: "hunter2-hunter2" }));
    const text = JSON.stringify(await entriesOf(api));
    expect(text).toContain("unlockVault");
    // The last one put it into a field's name itself; nothing else shows it.
    expect(text.split("hunter2").length - 1).toBe(2);
    expect(text).not.toContain("123456");
    expect(text).not.toContain("swp1");
  });

  test("to sign in names an account that there is, and nothing else that was typed", async () => {
    using api = await openApiFixture();
    await api.context.access.accounts.add({ name: "ann", role: "auditor", machines: [], password: "correct horse" });
    const signIn = async (name: string, password = "wrong-wrong"): Promise<void> => {
      const headers = { host: "127.0.0.1", "content-type": "application/json" };
      const body = JSON.stringify({ name, password });
      await api.answer(new Request("http://127.0.0.1/v1/session", { method: "POST", headers, body }), LOOPBACK);
    };
    await signIn("Ann");
    // The password in the field above its own.
    await signIn("correct horse");
    await signIn("ann", "correct horse");
    const entries = await entriesOf(api);
    expect(entries.map(shortly)).toEqual(["- signIn Ann refused", "- signIn (unknown) refused", "ann signIn ann done"]);
    expect(JSON.stringify(entries)).not.toContain("horse");
  });

  test("by which a provider sends somebody back is entered with who came in, or that nobody did", async () => {
    using api = await openApiFixture();
    const { access } = api.context;
    const ann = await access.accounts.add({ name: "ann", role: "operator", machines: [], password: "correct horse" });
    Object.assign(access, { oidc: { forgotten: () => "sternway-oidc=; Max-Age=0" } });
    const back = async (): Promise<string | null> => {
      const request = new Request("http://127.0.0.1/v1/oidc/callback?code=1", { headers: { host: "127.0.0.1" } });
      return (await api.answer(request, LOOPBACK)).headers.get("location");
    };
    access.signInThroughProvider = async () => ann;
    expect(await back()).toBe("/");
    access.signInThroughProvider = () =>
      Promise.reject(new SternwayError("denied", "no role", { status: 401, reason: "role" }));
    expect(await back()).toBe("/?sign-in=role");
    expect((await entriesOf(api)).map(shortly)).toEqual([
      "ann finishOidc appliance done",
      "- finishOidc appliance refused",
    ]);
  });

  test("by the thousand costs two entries a minute", async () => {
    using api = await openApiFixture();
    await api.volumes.create("web1", 2 ** 20);
    let now = 1e15;
    const answer = createApi({ ...api.context, now: () => now });
    const read = async (): Promise<void> => {
      const range = { headers: { range: "bytes=0-511" } };
      await (await answer(new Request("http://localhost/v1/volumes/web1/image", range), CONTROL)).arrayBuffer();
    };
    for (let i = 0; i < 1000; i++) await read();
    now += 61e6;
    await read();
    const entries = await entriesOf(api);
    expect(entries.length).toBe(3);
    expect(entries[1]?.detail?.["again"]).toBe(999);
  });

  test("refused under ever other names is bounded too", async () => {
    using api = await openApiFixture();
    let now = 1e15;
    const answer = createApi({ ...api.context, now: () => now });
    for (let i = 0; i < 2000; i++) {
      await answer(new Request(`http://127.0.0.1/v1/volumes/v${i}`, { headers: { host: "127.0.0.1" } }), LOOPBACK);
    }
    expect((await entriesOf(api)).length).toBe(256);
    now += 61e6;
    await answer(new Request("http://127.0.0.1/healthz", { headers: { host: "127.0.0.1" } }), LOOPBACK);
    const entries = await entriesOf(api);
    expect(entries.length).toBe(257);
    expect(entries.at(-1)).toMatchObject({ action: "many", result: "refused", detail: { again: 2000 - 256 } });
  });
});

describe("the audit", () => {
  test("is read by page and by what it says, and by those who may", async () => {
    using api = await openApiFixture();
    for (let i = 0; i < 5; i++) await api.ask("/v1/volumes", post({ name: `v${i}`, sizeBytes: 4096 }));
    const first = (await (await api.ask("/v1/audit?limit=2")).json()) as { entries: AuditEntry[]; next: number };
    expect(first.entries.map((entry) => entry.subject)).toEqual(["v4", "v3"]);
    const second = (await (await api.ask(`/v1/audit?limit=2&before=${first.next}`)).json()) as typeof first;
    expect(second.entries.map((entry) => entry.subject)).toEqual(["v2", "v1"]);
    const one = (await (
      await api.ask("/v1/audit?subject=v1&action=createVolume&who=root&result=done")
    ).json()) as typeof first;
    expect(one.entries.map((entry) => entry.subject)).toEqual(["v1"]);
    expect((await api.ask("/v1/audit?from=yesterday")).status).toBe(400);
    expect((await api.askAs({ role: "auditor" }, "/v1/audit")).status).toBe(200);
    for (const role of ["operator", "self-service"] as const) {
      for (const path of ["/v1/audit", "/v1/audit/export", "/v1/audit/key"]) {
        expect((await api.askAs({ role }, path)).status).toBe(403);
      }
    }
  });

  test("is exported whole, signed, and verifies offline with the key that the API gave", async () => {
    using api = await openApiFixture();
    for (let i = 0; i < 5; i++) await api.ask("/v1/volumes", post({ name: `v${i}`, sizeBytes: 4096 }));
    const key = (await (await api.ask("/v1/audit/key")).json()) as {
      fingerprint: string;
      head: { seq: number; hash: string };
    };
    const response = await api.ask("/v1/audit/export");
    expect(response.headers.get("content-disposition")).toContain("sternway-audit.jsonl");
    const disk = new MemoryDisk();
    disk.files.set("/export", new Uint8Array(await response.arrayBuffer()));
    const report = await verifyAudit(disk, "/export", { fingerprint: key.fingerprint, heads: [key.head] });
    expect(report.findings).toEqual([]);
    expect(report.entries).toBe(6);
    expect((await entriesOf(api)).at(-1)?.action).toBe("exportAudit");
  });

  test("shows names in an encrypted vault to those who ask, and to nobody who reads its files", async () => {
    using api = await openApiFixture();
    const disk = new MemoryDisk();
    const audit = await AuditTrail.open({
      disk,
      clock: systemClock,
      random: seededRandom(1),
      dir: "/data/audit",
      vaultNaming: (word) => (word === "planted-volume" ? "payroll" : undefined),
    });
    const answer = createApi({ ...api.context, audit });
    const ask = (path: string, init?: RequestInit) => answer(new Request(`http://localhost${path}`, init), CONTROL);
    // At first it fails, when nobody knows the name yet.
    await ask("/v1/volumes", post({ name: "planted-volume", sizeBytes: 5 }));
    await ask("/v1/volumes", post({ name: "planted-volume", sizeBytes: 4096 }));
    await ask("/v1/volumes/planted-volume/bookmarks", post({ name: "planted-bookmark", note: "planted-note" }));
    await ask("/v1/volumes/planted-volume/bookmarks/planted-bookmark", { method: "DELETE" });
    await ask("/v1/volumes/planted-volume/rollback", post({ to: "bookmark:planted-bookmark" }));
    await ask("/v1/volumes/planted-volume/rollback", post({ to: "lsn:0" }));
    const { entries } = (await (await ask("/v1/audit?subject=planted-volume")).json()) as {
      entries: (AuditEntry & { about?: string })[];
    };
    expect(entries.map((entry) => entry.action).toReversed()).toEqual([
      "createVolume",
      "createVolume",
      "createBookmark",
      "deleteBookmark",
      "rollbackVolume",
      "rollbackVolume",
    ]);
    expect(entries[0]?.subject).toMatch(/^payroll:#[0-9a-f]{16}$/);
    expect(entries[0]?.about).toBe("payroll:planted-volume");
    expect(entries[0]?.detail?.["to"]).toBe("lsn:0");
    await audit.stop();
    for (const bytes of disk.files.values()) expect(new TextDecoder().decode(bytes)).not.toContain("planted");
  });
});

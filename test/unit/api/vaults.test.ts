import { expect, test } from "bun:test";
import { createClient } from "../../../src/contract/client.ts";
import { listenHttp, type VaultAdmin } from "../../../src/api/app.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import type { VaultKey, WireVault } from "../../../src/contract/contract.ts";
import { LOOPBACK, openApiFixture } from "../../support/api-fixture.ts";

/** An admin that writes down what it is asked. */
function recorder(): VaultAdmin & { asked: unknown[][] } {
  const asked: unknown[][] = [];
  const answer =
    (state: WireVault["state"]) =>
    (name: string, ...more: unknown[]): Promise<WireVault> => {
      asked.push([name, ...more]);
      return Promise.resolve({ name, state, volumes: ["web1"], volumeCount: 1, encrypted: true });
    };
  return {
    asked,
    list: () => answer("writable")("default").then((vault) => [vault]),
    show: answer("writable"),
    space: (vault) => {
      asked.push([vault, "space"]);
      const volumes = [{ volume: "web1", uniqueBytes: 60, sharedBytes: 30, mappedBytes: 200 }];
      return Promise.resolve({ vault, storedBytes: 100, liveBytes: 90, deadBytes: 10, volumes });
    },
    create: answer("writable"),
    lock: answer("locked"),
    unlock: (name, key) => {
      if (key !== undefined && "passphrase" in key && key.passphrase !== "right") {
        return Promise.reject(new SternwayError("denied", "the passphrase does not open this vault"));
      }
      return answer("writable")(name, key);
    },
    remove: async (name, options) => void (await answer("missing")(name, options)),
    forget: async (name) => void (await answer("missing")(name)),
  };
}

const HEADERS = { "content-type": "application/json", host: "127.0.0.1" };

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: HEADERS,
  body: JSON.stringify(body),
});

test("the client makes, lists, locks, unlocks and forgets vaults, and the catalog keeps what happened", async () => {
  const vaults = recorder();
  using fixture = await openApiFixture({ vaults });
  const listener = await listenHttp({ kind: "unix", path: `${fixture.dir}/c` }, fixture.answer, fixture.context.log);
  try {
    const client = createClient({ socketPath: `${fixture.dir}/c` });
    const key: VaultKey = { keyFile: "/etc/key" };
    expect(await client.createVault("pay", key)).toMatchObject({ name: "pay", state: "writable" });
    expect(await client.vaults()).toMatchObject([{ name: "default" }]);
    expect(await client.vaultNamed("pay")).toMatchObject({ volumes: ["web1"] });
    expect(await client.vaultSpace("pay")).toMatchObject({ deadBytes: 10, volumes: [{ uniqueBytes: 60 }] });
    expect(await client.lockVault("pay", { force: true })).toMatchObject({ state: "locked" });
    expect(await client.unlockVault("pay", { passphrase: "right" })).toMatchObject({ state: "writable" });
    await expect(client.unlockVault("pay", { passphrase: "wr0ng-one" })).rejects.toMatchObject({ kind: "denied" });
    await client.forgetVault("pay");
    expect(vaults.asked).toEqual([
      ["pay", key],
      ["default"],
      ["pay"],
      ["pay", "space"],
      ["pay", { force: true }],
      ["pay", { passphrase: "right" }],
      ["pay"],
    ]);
    const events = (await client.events()).events.map((event) => event.kind);
    expect(events).toEqual(["vault-forgotten", "vault-unlock-denied", "vault-opened", "vault-locked", "vault-created"]);
    expect(fixture.logged.join("") + JSON.stringify(await client.events())).not.toMatch(/wr0ng|right/);
  } finally {
    await listener.stop(100);
  }
});

test("vaults are made, locked, unlocked and deleted by administrators alone", async () => {
  const vaults = recorder();
  using fixture = await openApiFixture({ vaults });
  const requests: [string, RequestInit][] = [
    ["/v1/vaults", post({ name: "x", encrypt: { passphrase: "p" } })],
    ["/v1/vaults/x/lock", post({})],
    ["/v1/vaults/x/unlock", post({ key: { keyFile: "/k" } })],
    ["/v1/vaults/x", { method: "DELETE" }],
  ];
  for (const [path, init] of requests) {
    expect(
      (await fixture.answer(new Request(`http://127.0.0.1${path}`, { ...init, headers: HEADERS }), LOOPBACK)).status,
    ).toBe(401);
    for (const role of ["operator", "self-service", "auditor"] as const)
      expect((await fixture.askAs({ role }, path, init)).status).toBe(403);
  }
  expect(vaults.asked).toEqual([]);
  for (const [path, init] of requests)
    expect((await fixture.askAs({ role: "administrator" }, path, init)).status).toBeLessThan(300);
});

test("a key of both kinds, of none, or of a relative path is refused without repeating it", async () => {
  using fixture = await openApiFixture({ vaults: recorder() });
  for (const key of [{}, { keyFile: "s3cret", passphrase: "s3cret" }, { keyFile: "s3cret" }, { passphrase: "" }]) {
    const response = await fixture.ask("/v1/vaults/x/unlock", post({ key }));
    expect(response.status).toBe(400);
    expect(await response.text()).not.toContain("s3cret");
  }
  expect(fixture.logged.join("")).not.toContain("s3cret");
});

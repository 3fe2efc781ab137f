import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { lockFile } from "../../../src/base/file-lock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { resolveConfig } from "../../../src/config/config.ts";
import type { Engine, EngineOptions, OpenEngine } from "../../../src/daemon/engine.ts";
import { shareOf } from "../../../src/daemon/vault-shares.ts";
import { openVaults, type Vaults } from "../../../src/daemon/vaults.ts";
import { createLog } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { createFakeVolumes, type FakeVolumes } from "../../support/fake-volumes.ts";

const MIB = 2 ** 20;
const { storage } = resolveConfig({ filePath: "config.json", environment: {}, flags: {} });
const never = new AbortController().signal;

let dir: string;
let opened: EngineOptions[];
/** What lies in each vault, over stops and starts. */
let contents: Map<string, FakeVolumes>;
/** Why a vault does not open. */
let refusals: Map<string, Error>;
let running: Vaults[];
let told: string[];
let logged: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-vaults-"));
  opened = [];
  contents = new Map();
  refusals = new Map();
  running = [];
  told = [];
  logged = [];
});
afterEach(async () => {
  await Promise.all(running.map((vaults) => vaults.stop()));
  rmSync(dir, { recursive: true, force: true });
});

const openEngine: OpenEngine = async (options): Promise<Engine> => {
  const refusal = refusals.get(options.name);
  if (refusal) throw refusal;
  if (options.make) writeFileSync(join(options.dir, "vault.json"), options.key === undefined ? "plain" : "encrypted");
  const encrypted = readFileSync(join(options.dir, "vault.json"), "utf8") === "encrypted";
  if (encrypted && options.key === undefined) throw new SternwayError("denied", "it is encrypted and needs its key");
  opened.push(options);
  const volumes = contents.get(options.name) ?? createFakeVolumes();
  contents.set(options.name, volumes);
  return {
    volumes: named(volumes, options.name),
    encrypted,
    status: async () => ({
      id: options.name,
      state: "writable",
      epoch: 1,
      lastLsn: 0,
      durableLsn: 0,
      sealedLsn: 0,
      volumeCount: volumes.list().length,
      journalUsedBytes: 0,
      journalSizeBytes: 0,
      storedBytes: 0,
      packCount: 0,
      layerCount: 0,
    }),
    sample: () => ({ writable: true }),
    space: async () => ({ storedBytes: 0, liveBytes: 0, deadBytes: 0, volumes: [] }),
    trouble: () => undefined,
    async *check() {
      yield { line: "progress", what: options.name, done: 1, total: 1 };
      yield { line: "end", findings: 1, objects: 2, bytes: 3 };
    },
    stop: async () => {},
  };
};

/** The same volumes, which know their vault's name. */
function named(volumes: FakeVolumes, vault: string): FakeVolumes {
  return {
    ...volumes,
    list: () => volumes.list().map((info) => ({ ...info, vault })),
    get: (name) => ({ ...volumes.get(name), vault }),
  };
}

async function open(more: { openEngine?: OpenEngine } = {}): Promise<Vaults> {
  const vaults = await openVaults({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dataDir: dir,
    vaultsDir: join(dir, "vaults"),
    knownVolumesPath: join(dir, "vaults.json"),
    scrub: { cycleDays: 30 },
    openStore: () => Promise.reject(new Error("no tier is opened here")),
    zone: "UTC",
    storage,
    log: createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) }),
    metrics: createMetrics(),
    tell: (event) => void told.push(`${event.kind} ${event.subject}`),
    openEngine,
    onChange: async () => {},
    ...more,
  });
  running.push(vaults);
  return vaults;
}

const states = async (vaults: Vaults): Promise<string[]> =>
  (await vaults.list()).map((vault) => `${vault.name} ${vault.state}`);

async function linesOf<Line>(source: AsyncIterable<Line>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of source) lines.push(line);
  return lines;
}

describe("openVaults()", () => {
  test("makes the vault default at the first start, and opens what is there at the next", async () => {
    const first = await open();
    expect(await states(first)).toEqual(["default writable"]);
    await first.create("archive", undefined);
    await first.volumes.create("web1", MIB);
    await first.volumes.create("old1", MIB, { vault: "archive" });
    expect(first.volumes.get("old1").vault).toBe("archive");
    await first.stop();
    const second = await open();
    expect(await states(second)).toEqual(["default writable", "archive writable"]);
    expect(opened.map(({ name, make }) => `${name} ${make}`)).toEqual([
      "default true",
      "archive true",
      "default false",
      "archive false",
    ]);
    expect(second.volumes.list().map((info) => info.name)).toEqual(["web1", "old1"]);
  });

  test("moves an older folder's vault to its place, once, and says so", async () => {
    mkdirSync(join(dir, "vault"));
    writeFileSync(join(dir, "vault", "vault.json"), "plain");
    const vaults = await open();
    expect(await states(vaults)).toEqual(["default writable"]);
    expect(existsSync(join(dir, "vault"))).toBe(false);
    expect(opened[0]).toMatchObject({ make: false, dir: join(dir, "vaults", "default") });
    expect(logged.filter((line) => line.includes("was moved to its place"))).toHaveLength(1);
    await vaults.stop();
    await open();
    expect(logged.filter((line) => line.includes("was moved to its place"))).toHaveLength(1);
  });

  test("serves the others when one is damaged, locked or missing, and tells which and why", async () => {
    const first = await open();
    for (const name of ["broken", "secret", "away"]) await first.create(name, undefined);
    await first.volumes.create("b1", MIB, { vault: "broken" });
    await first.volumes.create("a1", MIB, { vault: "away" });
    await first.stop();
    rmSync(join(dir, "vaults", "away"), { recursive: true });
    refusals.set("broken", new SternwayError("corrupt", "manifest 7 is damaged"));
    refusals.set("secret", new SternwayError("denied", "it is encrypted and needs its key"));
    const vaults = await open();
    expect(await states(vaults)).toEqual(["default writable", "away missing", "broken damaged", "secret locked"]);
    expect(vaults.troubles()).toEqual([
      expect.stringContaining("vault away is missing"),
      expect.stringContaining("vault broken is damaged: manifest 7 is damaged"),
      expect.stringContaining("vault secret is locked"),
    ]);
    expect(told.sort()).toEqual(["vault-damaged broken", "vault-locked secret", "vault-missing away"]);
    await vaults.volumes.create("web1", MIB);
    for (const call of [() => vaults.volumes.get("b1"), () => vaults.volumes.bookmarks("b1")]) {
      expect(call).toThrow("volume b1 is in vault broken, which is damaged: manifest 7 is damaged");
    }
    await expect(vaults.volumes.openLive("a1")).rejects.toMatchObject({ kind: "unavailable" });
    await expect(vaults.volumes.openAt("a1", { kind: "now" })).rejects.toMatchObject({ facts: { vault: "away" } });
  });

  test("does not hide a defect", async () => {
    await (await open()).stop();
    refusals.set("default", new TypeError("undefined is not a function"));
    await expect(open()).rejects.toThrow("undefined is not a function");
  });

  test("removes what a crash left of a vault that was being made, and never touches an empty mount point", async () => {
    await (await open()).stop();
    mkdirSync(join(dir, "vaults", "half", "journal"), { recursive: true });
    writeFileSync(join(dir, "vaults", "half", "making"), "");
    mkdirSync(join(dir, "vaults", "disk2"));
    symlinkSync("/nowhere/at/all", join(dir, "vaults", "linked"));
    const vaults = await open();
    expect(await states(vaults)).toEqual(["default writable", "disk2 missing", "linked missing"]);
    expect(existsSync(join(dir, "vaults", "half"))).toBe(false);
    expect(readdirSync(join(dir, "vaults", "disk2"))).toEqual([]);
  });

  test("a crash between a vault's identity and its end leaves a whole vault", async () => {
    await (await open()).stop();
    mkdirSync(join(dir, "vaults", "late"));
    writeFileSync(join(dir, "vaults", "late", "vault.json"), "plain");
    writeFileSync(join(dir, "vaults", "late", "making"), "");
    expect(await states(await open())).toEqual(["default writable", "late writable"]);
    expect(existsSync(join(dir, "vaults", "late", "making"))).toBe(false);
  });

  test("does not open a vault that another process holds", async () => {
    await (await open()).stop();
    const lock = lockFile(join(dir, "vaults", "default", "lock"));
    const vaults = await open();
    expect(await vaults.show("default")).toMatchObject({
      state: "unavailable",
      reason: expect.stringContaining("locked"),
    });
    lock.release();
    expect(await vaults.unlock("default", undefined)).toMatchObject({ state: "writable" });
  });

  test("makes a lost or damaged vaults.json anew", async () => {
    const first = await open();
    await first.volumes.create("web1", MIB);
    await first.stop();
    for (const text of ["{", '{"format":9}', ""]) {
      writeFileSync(join(dir, "vaults.json"), text);
      await (await open()).stop();
      expect(JSON.parse(readFileSync(join(dir, "vaults.json"), "utf8"))).toEqual({
        format: 1,
        vaults: { default: { names: ["web1"] } },
      });
    }
  });
});

describe("Vaults", () => {
  test("create() refuses a name that is taken, bad, or one too many, and leaves nothing of one that fails", async () => {
    const vaults = await open();
    await expect(vaults.create("default", undefined)).rejects.toMatchObject({ kind: "conflict" });
    await expect(vaults.create("../up", undefined)).rejects.toMatchObject({ kind: "invalid" });
    refusals.set("bad", new SternwayError("unavailable", "no space"));
    await expect(vaults.create("bad", undefined)).rejects.toMatchObject({ kind: "unavailable" });
    expect(existsSync(join(dir, "vaults", "bad"))).toBe(false);
    expect(await states(vaults)).toEqual(["default writable"]);
    mkdirSync(join(dir, "vaults", "full"));
    writeFileSync(join(dir, "vaults", "full", "letter.txt"), "dear");
    await expect(vaults.create("full", undefined)).rejects.toThrow("letter.txt");
    expect(readdirSync(join(dir, "vaults", "full"))).toEqual(["letter.txt"]);
    for (let i = 1; i < 16; i++) await vaults.create(`v${i}`, undefined);
    await expect(vaults.create("v16", undefined)).rejects.toThrow("at most 16");
  });

  test("a missing vault's empty folder takes a new vault", async () => {
    await (await open()).stop();
    mkdirSync(join(dir, "vaults", "disk2", "lost+found"), { recursive: true });
    const vaults = await open();
    expect(await vaults.create("disk2", undefined)).toMatchObject({ state: "writable" });
  });

  test("lock() and unlock() take a vault away and bring it back; the key is asked for where there is one", async () => {
    const vaults = await open();
    await vaults.create("secret", { passphrase: "open sesame" });
    await vaults.volumes.create("s1", MIB, { vault: "secret" });
    expect(await vaults.lock("secret", {})).toMatchObject({
      state: "locked",
      encrypted: true,
      volumes: [],
      volumeCount: 1,
    });
    expect(vaults.volumes.list()).toEqual([]);
    expect(() => vaults.volumes.get("s1")).toThrow("which is locked");
    await expect(vaults.volumes.create("s1", MIB)).rejects.toThrow("already in vault secret");
    await expect(vaults.unlock("secret", undefined)).rejects.toMatchObject({ kind: "denied" });
    expect(await vaults.show("secret")).toMatchObject({ state: "locked" });
    expect(await vaults.unlock("secret", { passphrase: "open sesame" })).toMatchObject({ state: "writable" });
    expect(vaults.volumes.get("s1").name).toBe("s1");
    await expect(vaults.unlock("secret", undefined)).rejects.toMatchObject({ kind: "conflict" });
    expect(await vaults.lock("default", {})).toMatchObject({ state: "closed" });
    await expect(vaults.lock("default", {})).rejects.toMatchObject({ kind: "conflict" });
    // Closed by somebody who wanted that: no trouble.
    expect(vaults.troubles()).toEqual([]);
    expect(opened.at(-1)?.key).toEqual({ passphrase: "open sesame" });
    expect(logged.join("") + readFileSync(join(dir, "vaults.json"), "utf8")).not.toContain("sesame");
  });

  test("lock() is refused while anybody writes, reads a moment or checks, unless forced", async () => {
    const vaults = await open();
    await vaults.volumes.create("web1", MIB);
    const live = await vaults.volumes.openLive("web1");
    await expect(vaults.lock("default", {})).rejects.toMatchObject({ kind: "conflict", facts: { users: 1 } });
    await live.close();
    const past = await vaults.volumes.openAt("web1", { kind: "now" });
    await expect(vaults.lock("default", {})).rejects.toMatchObject({ kind: "conflict", facts: { users: 1 } });
    await past.close();
    await past.close();
    const check = vaults.check({}, never);
    await check.next();
    await expect(vaults.lock("default", {})).rejects.toMatchObject({ kind: "conflict", facts: { users: 1 } });
    await check.return();
    const again = await vaults.volumes.openLive("web1");
    expect(await vaults.lock("default", { force: true })).toMatchObject({ state: "closed" });
    await again.close();
  });

  test("a volume's name is given once, across vaults, closed ones, starts and two creations at once", async () => {
    const first = await open();
    await first.create("b", undefined);
    const both = await Promise.allSettled([
      first.volumes.create("web1", MIB),
      first.volumes.create("web1", MIB, { vault: "b" }),
    ]);
    expect(both.map((result) => result.status)).toEqual(["fulfilled", "rejected"]);
    await first.volumes.create("b1", MIB, { vault: "b" });
    await expect(first.volumes.create("b1", MIB)).rejects.toMatchObject({ kind: "conflict" });
    await expect(first.volumes.branch("web1", { kind: "now" }, "b1")).rejects.toThrow(
      "names are given once per appliance",
    );
    await first.stop();
    refusals.set("b", new SternwayError("denied", "it needs its key"));
    const second = await open();
    await expect(second.volumes.create("b1", MIB)).rejects.toMatchObject({ kind: "conflict" });
    refusals.clear();
    await second.unlock("b", undefined);
    await second.volumes.delete("b1");
    await second.volumes.create("b1", MIB);
    expect(second.volumes.get("b1").vault).toBe("default");
  });

  test("a vault that brings a name which is served already stays closed, and says how to part them", async () => {
    const first = await open();
    await first.create("b", undefined);
    await first.volumes.create("web1", MIB);
    await first.stop();
    await contents.get("b")!.create("web1", MIB);
    const second = await open();
    expect(await second.show("b")).toMatchObject({
      state: "unavailable",
      reason: expect.stringContaining("sternway vault lock default"),
    });
    expect(second.volumes.get("web1").vault).toBe("default");
    // As the message tells: close the one, open the other, take the volume out of its way.
    await second.lock("default", {});
    await second.unlock("b", undefined);
    await second.volumes.branch("web1", { kind: "now" }, "web1-b");
    await second.volumes.delete("web1");
    await second.unlock("default", undefined);
    expect(second.volumes.list().map((info) => `${info.name} ${info.vault}`)).toEqual(["web1 default", "web1-b b"]);
  });

  test("branch() stays in its vault and says so", async () => {
    const vaults = await open();
    await vaults.create("b", undefined);
    await vaults.volumes.create("web1", MIB);
    await expect(vaults.volumes.branch("web1", { kind: "now" }, "web2", { vault: "b" })).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("stays in vault default"),
    });
    await vaults.volumes.branch("web1", { kind: "now" }, "web2", { vault: "default" });
    expect(vaults.volumes.get("web2").vault).toBe("default");
  });

  test("remove() wants the name typed where there are volumes, respects holds, locks and clients, and leaves no folder", async () => {
    const vaults = await open();
    const folder = join(dir, "vaults", "b");
    await expect(vaults.remove("default", {})).rejects.toMatchObject({ kind: "conflict" });
    await vaults.create("b", { passphrase: "open sesame" });
    await vaults.volumes.create("b1", MIB, { vault: "b" });
    await vaults.volumes.create("b2", MIB, { vault: "b" });
    await expect(vaults.remove("b", {})).rejects.toMatchObject({ kind: "conflict", facts: { volumes: 2 } });
    await expect(vaults.remove("b", { confirm: "c" })).rejects.toMatchObject({ kind: "invalid" });
    const live = await vaults.volumes.openLive("b2");
    await expect(vaults.remove("b", { confirm: "b" })).rejects.toThrow("b2 is in use");
    await live.close();
    await vaults.volumes.hold("b2", "court", { kind: "now" }, "");
    await expect(vaults.remove("b", { confirm: "b" })).rejects.toThrow("b2 has 1 hold(s)");
    // Nothing went before what is protected was found.
    expect(vaults.volumes.list().map((info) => info.name)).toEqual(["b1", "b2"]);
    await vaults.volumes.releaseHold("b2", "court");
    await vaults.lock("b", {});
    await expect(vaults.remove("b", { confirm: "b" })).rejects.toThrow("is locked");
    await vaults.unlock("b", { passphrase: "open sesame" });
    await vaults.remove("b", { confirm: "b" });
    expect(existsSync(folder)).toBe(false);
    expect(await states(vaults)).toEqual(["default writable"]);
    await vaults.volumes.create("b1", MIB);
  });

  test("a crash while a vault is deleted leaves it whole, or none", async () => {
    const first = await open();
    await first.create("whole", undefined);
    await first.create("half", undefined);
    await first.stop();
    for (const name of ["whole", "half"]) writeFileSync(join(dir, "vaults", name, "making"), "");
    rmSync(join(dir, "vaults", "half", "vault.json"));
    const second = await open();
    expect(await states(second)).toContain("whole writable");
    expect(existsSync(join(dir, "vaults", "half"))).toBe(false);
  });

  test("names of an encrypted vault's volumes are written nowhere, and stay taken while it is locked", async () => {
    const first = await open();
    await first.create("secret", { passphrase: "open sesame" });
    await first.volumes.create("planted", MIB, { vault: "secret" });
    const file = (): string => readFileSync(join(dir, "vaults.json"), "utf8");
    expect(file()).not.toContain("planted");
    await first.stop();
    const second = await open();
    expect(await second.show("secret")).toMatchObject({ state: "locked", volumes: [], volumeCount: 1 });
    expect(() => second.volumes.get("planted")).toThrow("which is locked");
    await expect(second.volumes.create("planted", MIB)).rejects.toMatchObject({ kind: "conflict" });
    expect(file()).not.toContain("planted");
    await second.unlock("secret", { passphrase: "open sesame" });
    await second.volumes.delete("planted");
    await second.volumes.create("planted", MIB);
    expect(JSON.parse(file())).toMatchObject({ vaults: { default: { names: ["planted"] }, secret: { prints: [] } } });
  });

  test("a vault that was encrypted is opened as such or not at all", async () => {
    const first = await open();
    await first.create("secret", { passphrase: "open sesame" });
    await first.stop();
    const second = await open();
    const asked = opened.length;
    await second.unlock("secret", { passphrase: "open sesame" });
    expect(opened.slice(asked)).toMatchObject([{ name: "secret", mustBeEncrypted: true }]);
    expect(opened.find(({ name }) => name === "default")).toMatchObject({ mustBeEncrypted: false });
  });

  test("create() names an unknown vault, with those that are there", async () => {
    const vaults = await open();
    await expect(vaults.volumes.create("web1", MIB, { vault: "nosuch" })).rejects.toMatchObject({
      kind: "not_found",
      message: expect.stringContaining("there are: default"),
    });
    await expect(vaults.show("nosuch")).rejects.toMatchObject({ kind: "not_found" });
  });

  test("forget() frees the names of a vault that is gone, and refuses for any other", async () => {
    const first = await open();
    await first.create("away", undefined);
    await first.volumes.create("a1", MIB, { vault: "away" });
    await expect(first.forget("away")).rejects.toMatchObject({ kind: "conflict" });
    await first.stop();
    renameSync(join(dir, "vaults", "away"), join(dir, "elsewhere"));
    const second = await open();
    await expect(second.volumes.create("a1", MIB)).rejects.toMatchObject({ kind: "conflict" });
    await second.forget("away");
    await second.volumes.create("a1", MIB);
    expect(await states(second)).toEqual(["default writable"]);
  });

  test("refresh() and takeOver() of a vault that is written to here are refused before anything is closed", async () => {
    const vaults = await open();
    await vaults.create("pay", undefined);
    for (const key of [undefined, { passphrase: "whatever it is" }]) {
      await expect(vaults.tiers.refresh("pay", key)).rejects.toMatchObject({ kind: "conflict" });
      await expect(vaults.tiers.takeOver("pay", key)).rejects.toMatchObject({ kind: "conflict" });
    }
    expect((await vaults.show("pay")).state).toBe("writable");
    expect(opened.filter(({ name }) => name === "pay")).toHaveLength(1);
  });

  test("check() goes through the open vaults, warns of the closed ones, sums up once, and runs once at a time", async () => {
    const vaults = await open();
    await vaults.create("b", undefined);
    await vaults.create("c", undefined);
    await vaults.lock("c", {});
    const lines = await linesOf(vaults.check({}, never));
    expect(lines).toMatchObject([
      { line: "progress", what: "default" },
      { line: "progress", what: "b" },
      { line: "finding", severity: "warning", subject: "vault c" },
      { line: "end", findings: 2, objects: 4, bytes: 6 },
    ]);
    expect((await linesOf(vaults.check({ vault: "b" }, never))).at(-1)).toMatchObject({ findings: 1 });
    await expect(linesOf(vaults.check({ vault: "c" }, never))).rejects.toMatchObject({ kind: "conflict" });
    const first = vaults.check({}, never);
    await first.next();
    await expect(linesOf(vaults.check({}, never))).rejects.toMatchObject({ kind: "conflict" });
    await first.return();
    await linesOf(vaults.check({}, never));
  });

  test("samples() names each vault, and a closed one takes no writes", async () => {
    const vaults = await open();
    await vaults.create("b", undefined);
    await vaults.lock("b", {});
    expect(vaults.samples()).toMatchObject([
      { vault: "default", writable: true },
      { vault: "b", writable: false },
    ]);
  });
});

test("shareOf() divides what is configured evenly, down to what a vault cannot do without", async () => {
  for (const count of [1, 2, 3, 16]) {
    const share = shareOf(storage, count);
    for (const key of ["frameCacheBytes", "pageCacheBytes"] as const) {
      expect(share[key] * count).toBeLessThanOrEqual(storage[key]);
    }
    expect(share.journalFileBytes).toBe(storage.journalFileBytes);
    // Goes by what each vault holds.
    expect(share.fingerprintBytesPerTiB).toBe(storage.fingerprintBytesPerTiB);
  }
  expect(shareOf(storage, 1)).toEqual(storage);
  expect(shareOf(storage, 16).journalFilesMax).toBe(4);
  expect(shareOf({ ...storage, journalFilesMax: 2 }, 16).journalFilesMax).toBe(2);
  // Opened when there are two, each gets half.
  const vaults = await open();
  await vaults.create("b", undefined);
  expect(opened.map((options) => options.storage.frameCacheBytes)).toEqual([
    storage.frameCacheBytes,
    storage.frameCacheBytes / 2,
  ]);
});

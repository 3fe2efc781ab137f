/** The API on volumes in memory, a real catalog in a scratch folder, and an appliance whose answers a test can set. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi, type Answer, type ApiContext, type Appliance } from "../../src/api/app.ts";
import { systemClock } from "../../src/base/clock.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { openCatalog } from "../../src/catalog/catalog.ts";
import type { DiskList, VaultStatus, WireVault } from "../../src/contract/contract.ts";
import { createLog } from "../../src/observe/log.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { fakeTiers } from "./fake-tiers.ts";
import { createFakeVolumes, type FakeVolumes } from "./fake-volumes.ts";

const VAULT: VaultStatus = {
  id: "0123456789abcdef",
  state: "writable",
  epoch: 3,
  lastLsn: 17,
  durableLsn: 17,
  sealedLsn: 0,
  volumeCount: 1,
  journalUsedBytes: 4096,
  journalSizeBytes: 2 ** 26,
  storedBytes: 0,
  packCount: 0,
  layerCount: 0,
  freeBytes: 10e9,
  totalBytes: 20e9,
};

const DISKS: DiskList = {
  disks: [],
  store: { path: "/", fsType: "ext4", dataDir: "/srv/sternway", reserveBytes: 2 ** 28, low: false },
  vaults: [],
  warnings: [],
};

const NAMED: WireVault = {
  name: "default",
  state: "writable",
  encrypted: false,
  volumes: [],
  volumeCount: 0,
  status: VAULT,
};

export interface ApiFixture {
  context: ApiContext;
  volumes: FakeVolumes;
  answer: Answer;
  /** Everything that was logged. */
  logged: string[];
  dir: string;
  /** Asks the API as the control socket does. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  [Symbol.dispose](): void;
}

export async function openApiFixture(appliance: Partial<Appliance> = {}): Promise<ApiFixture> {
  const dir = mkdtempSync(join(tmpdir(), "sternway-api-"));
  const volumes = createFakeVolumes();
  const logged: string[] = [];
  const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
  const context: ApiContext = {
    volumes,
    catalog,
    metrics: createMetrics(),
    log: createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) }),
    version: "0.0.0-test",
    now: () => volumes.now(),
    appliance: {
      health: () => ({ status: "ok", version: "0.0.0-test", startedAt: "2026-11-20T12:00:00.000000Z", reasons: [] }),
      vault: async () => VAULT,
      vaults: {
        list: async () => [NAMED],
        show: async (name) => ({ ...NAMED, name }),
        space: async (vault) => ({ vault, storedBytes: 0, liveBytes: 0, deadBytes: 0, volumes: [] }),
        create: async (name) => ({ ...NAMED, name }),
        lock: async (name) => ({ name, state: "closed", volumes: [], volumeCount: 0 }),
        unlock: async (name) => ({ ...NAMED, name }),
        remove: async () => {},
        forget: async () => {},
      },
      tiers: fakeTiers,
      received: {
        list: async () => ({ places: [] }),
        add: async (name) => ({ name, token: "swp1.test" }),
        renew: async (name) => ({ name, token: "swp1.test" }),
        remove: async () => {},
      },
      scrub: {
        status: () => ({ cycleDays: 30, vaults: [] }),
        async *run() {
          yield { line: "progress", what: "vault default", done: 1, total: 2 };
          yield { line: "end", objects: 2, bytes: 8192, findings: 0, restored: 0, damaged: 0 };
        },
      },
      retention: {
        zone: "UTC",
        async *run() {
          yield { line: "progress", what: "vault default", done: 0, total: 1 };
          const collected = { packsDeleted: 1, packsRepacked: 2, freedBytes: 4096, copiedBytes: 512, deadBytes: 0 };
          yield { line: "collected", vault: "default", ...collected };
          yield { line: "end", volumesThinned: 0, failures: 0, ...collected };
        },
      },
      disks: async () => DISKS,
      async *check() {
        yield { line: "progress", what: "packs", done: 1, total: 2 };
        yield { line: "end", findings: 0, objects: 2, bytes: 8192 };
      },
      ...appliance,
    },
  };
  const answer = createApi(context);
  return {
    context,
    volumes,
    answer,
    logged,
    dir,
    ask: (path, init) => answer(new Request(`http://localhost${path}`, init), "control"),
    [Symbol.dispose]() {
      catalog.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

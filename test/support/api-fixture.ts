/** The API on volumes in memory, a real catalog in a scratch folder, and an appliance whose answers a test can set. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi, JobRunner, type Answer, type ApiContext, type Appliance } from "../../src/api/app.ts";
import { openAccess } from "../../src/access/access.ts";
import { AuditTrail } from "../../src/audit/audit.ts";
import { systemClock } from "../../src/base/clock.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { systemRandom } from "../../src/base/random.ts";
import { openCatalog } from "../../src/catalog/catalog.ts";
import type { DiskList, VaultStatus, WireVault } from "../../src/contract/contract.ts";
import type { Principal } from "../../src/contract/rights.ts";
import { createLog } from "../../src/observe/log.ts";
import { Notifier } from "../../src/notify/notify.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { Signals } from "../../src/signals/signals.ts";
import { fakeAutomation } from "./fake-automation.ts";
import { fakeTiers } from "./fake-tiers.ts";
import { fakeConsole } from "./fake-console.ts";
import { createFakeVolumes, type FakeVolumes } from "./fake-volumes.ts";
import { MemoryDisk } from "./memory-disk.ts";

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

/** As a request comes over the control socket. */
export const CONTROL = { via: "control", from: "", secure: false } as const;
/** As one comes over TCP on loopback. */
export const LOOPBACK = { via: "tcp", from: "127.0.0.1", secure: false } as const;

const NO_LIMIT = { burst: 1e6, perSecond: 1e6 };

/** How the fixture's own authenticator is told who asks. */
const PRINCIPAL_HEADER = "x-test-principal";

export interface ApiFixture {
  context: ApiContext;
  volumes: FakeVolumes;
  answer: Answer;
  /** Everything that was logged. */
  logged: string[];
  dir: string;
  /** Asks the API as the control socket does. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** Asks over TCP, as somebody who has signed in. */
  askAs(principal: Partial<Principal> & Pick<Principal, "role">, path: string, init?: RequestInit): Promise<Response>;
  [Symbol.dispose](): void;
}

export async function openApiFixture(appliance: Partial<Appliance> = {}): Promise<ApiFixture> {
  const dir = mkdtempSync(join(tmpdir(), "sternway-api-"));
  const volumes = createFakeVolumes();
  const logged: string[] = [];
  const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
  const log = createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) });
  const access = await openAccess({
    catalog,
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    log,
    tell: (event) => catalog.addEvent(event),
    hashCost: { memoryKib: 8, passes: 1 },
  });
  const authenticate = access.authenticate.bind(access);
  access.authenticate = async (request) => {
    const principal = request.headers.get(PRINCIPAL_HEADER);
    return principal === null ? await authenticate(request) : { principal: JSON.parse(principal) as Principal };
  };
  const audit = await AuditTrail.open({
    disk: new MemoryDisk(),
    clock: systemClock,
    random: systemRandom,
    dir: "/data/audit",
  });
  const jobs = new JobRunner({ catalog, log, clock: systemClock });
  const automation = fakeAutomation({
    volumes,
    catalog,
    log,
    dir,
    hasChannel: (name) => context.notifier.directory.find(name) !== undefined,
  });
  const context: ApiContext = {
    audit,
    jobs,
    notifier: new Notifier({
      store: catalog.notify,
      clock: systemClock,
      random: systemRandom,
      log,
      tell: (event) => catalog.addEvent(event),
      appliance: "box",
      zone: "UTC",
      deliver: async () => "taken",
    }),
    reporting: { appliance: "box", reserveBytes: 2 ** 28 },
    signals: new Signals({
      catalog,
      clock: systemClock,
      log,
      tell: (event) => catalog.addEvent(event),
      onAlarm: () => {},
    }),
    // A test asks more of one address than a day does.
    rates: { requests: NO_LIMIT, address: NO_LIMIT, signIn: NO_LIMIT },
    access,
    automation,
    ownership: {
      machineOf: (volume) => automation.machines.machineOf(volume),
      owners: () => automation.machines.owners(),
    },
    credentials: {
      make: async () => ({
        certificatePem: "CERTIFICATE",
        keyPem: "KEY",
        authorityPem: "AUTHORITY",
        fingerprint: "ab",
      }),
      user: async (text: string) => ({ uid: 1000, user: text }),
      revoke() {},
    },
    volumes,
    catalog,
    metrics: createMetrics(),
    log,
    version: "0.0.0-test",
    console: fakeConsole,
    doors: () => ({ socketPath: "/srv/sternway/nbd.sock", nbd: [] }),
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
    ask: (path, init) => answer(new Request(`http://localhost${path}`, init), CONTROL),
    askAs(principal, path, init) {
      const request = new Request(`http://127.0.0.1${path}`, init);
      request.headers.set("host", "127.0.0.1");
      request.headers.set(
        PRINCIPAL_HEADER,
        JSON.stringify({ name: "test", machines: [], by: "session", ...principal }),
      );
      return answer(request, LOOPBACK);
    },
    [Symbol.dispose]() {
      void jobs.stop(0);
      void audit.stop();
      catalog.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Tiers for tests of routes: one that is online, and answers everything. */
import type { TierAdmin } from "../../src/api/app.ts";
import type { WireTier, WireVault } from "../../src/contract/contract.ts";

export const TIER: WireTier = {
  vault: "default",
  name: "offsite",
  url: "file:///mnt/offsite",
  mode: "continuous",
  rpoSeconds: 5,
  state: "online",
  reachedLsn: 7,
  lagSeconds: 0,
  lagBytes: 0,
  objectsPut: 3,
  bytesPut: 4096,
  attempts: 5,
  failures: 0,
};
const VAULT: WireVault = { name: "copy", state: "read-only", reason: "of a tier", volumes: [], volumeCount: 0 };

export const fakeTiers: TierAdmin = {
  list: (vault) => [{ ...TIER, vault }],
  add: async (vault, { name, url, mode, rpoSeconds }) => ({ ...TIER, vault, name, url, mode, rpoSeconds }),
  remove: async () => {},
  async *sync(vault) {
    yield { line: "tier", tier: { ...TIER, vault } };
    yield { line: "end", lsn: 7 };
  },
  async *verify() {
    yield { line: "progress", objects: 1, objectsTotal: 2, bytes: 4096 };
    yield { line: "finding", object: "packs/00000/1.pack", message: "it is missing", repaired: true };
    yield { line: "end", objects: 2, bytes: 8192, findings: 1, repaired: 1 };
  },
  open: async ({ name }) => ({ ...VAULT, name }),
  takeOver: async (name) => ({ ...VAULT, name, state: "writable" }),
  refresh: async (name) => ({ ...VAULT, name }),
};

/** How the appliance stands: its health in words, and the numbers that metrics read. */
import type { AuditTrail } from "../audit/audit.ts";
import { systemClock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Health, VaultStatus } from "../contract/contract.ts";
import type { NbdServer } from "../nbd/server.ts";
import type { Signals } from "../signals/signals.ts";
import { DEFAULT_VAULT } from "../volume/vault-volumes.ts";
import type { Meter } from "./metered-exports.ts";
import type { Received } from "./received.ts";
import type { VaultSpaces } from "./vault-space.ts";
import type { Vaults } from "./vaults.ts";

/** Of the vault `default`. @throws unavailable: it is not open */
export async function defaultStatus(vaults: Vaults): Promise<VaultStatus> {
  const { status, reason, state } = await vaults.show(DEFAULT_VAULT);
  if (status) return status;
  throw new SternwayError("unavailable", `vault ${DEFAULT_VAULT} is ${state}: ${reason ?? "its reason is not known"}`);
}

/** What is read anew at each asking for metrics. */
export function metricsSources(
  vaults: Vaults,
  meter: Meter,
  servers: readonly NbdServer[],
  spaces: VaultSpaces,
  signals: Signals,
) {
  return {
    volumes: () => {
      const now = systemClock.wall();
      return vaults.volumes.list().map((info) => ({
        name: info.name,
        sizeBytes: info.sizeBytes,
        lastLsn: info.lastLsn,
        lastWriteAgeSeconds: Math.max(0, (now - info.lastWriteAt) / 1e6),
        attached: info.attached,
        suspicion: signals.scoreOf(info.name),
      }));
    },
    totals: () => meter.totals(),
    vaults: () =>
      vaults.samples().map(({ dir, ...sample }) => {
        const space = spaces.of(dir);
        return { ...sample, ...space };
      }),
    tiers: () => vaults.tierSamples(),
    nbdSessions: () => servers.reduce((sum, server) => sum + server.connections().length, 0),
  };
}

export interface HealthFacts {
  stopping: boolean;
  version: string;
  startedAt: string;
  spaces: VaultSpaces;
  catalog: Catalog;
  vaults: Vaults;
  received: Received;
  audit: AuditTrail;
  /** What cannot be served, in words. */
  closedDoors: readonly string[];
}

/** Whether it serves, and what is wrong. */
export function healthOf(facts: HealthFacts): Health {
  const reasons = facts.vaults.troubles();
  if (facts.spaces.isUnknown) reasons.push("the free space cannot be read");
  if (facts.spaces.level() === "low") reasons.push("space is low");
  if (facts.spaces.level() === "critical") reasons.push("space is critical: writes are refused");
  if (facts.audit.trouble) reasons.push(`the audit cannot be kept: ${facts.audit.trouble}`);
  if (facts.catalog.inMemory) reasons.push("the catalog cannot be kept on disk");
  if (facts.received.trouble)
    reasons.push(`what is kept for others cannot be served: ${facts.received.trouble.message}`);
  reasons.push(...facts.closedDoors);
  const status = facts.stopping ? "stopping" : reasons.length > 0 ? "degraded" : "ok";
  return { status, version: facts.version, startedAt: facts.startedAt, reasons };
}

/** A vault's tiers as the API shows them. */
import { formatTime, micros, type Lsn } from "../base/units.ts";
import type { AddTier, SyncLine, WireTier, WireVerifyLine } from "../contract/contract.ts";
import type { Replication, TierSettings, TierStatus } from "../replication/replication.ts";
import type { Vault } from "../vault/vault.ts";

/** Of one open vault. */
export class EngineTiers {
  private readonly vault: Vault;
  private readonly name: string;
  private readonly replication: Replication;

  /** @param name - as the appliance calls the vault */
  constructor(vault: Vault, name: string, replication: Replication) {
    this.vault = vault;
    this.name = name;
    this.replication = replication;
  }

  list(): WireTier[] {
    return this.replication.status().map((status) => wireTier(this.name, status));
  }

  async add(request: AddTier): Promise<WireTier> {
    await this.replication.add(settingsOf(request));
    return this.list().find(({ name }) => name === request.name)!;
  }

  async remove(tier: string): Promise<void> {
    await this.replication.remove(tier);
  }

  async *sync(
    tier: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Exclude<SyncLine, { line: "failed" }>, void, undefined> {
    const lsn: Lsn = this.vault.lastLsn;
    for await (const status of this.replication.sync(tier === undefined ? [] : [tier], signal)) {
      yield { line: "tier", tier: wireTier(this.name, status) };
    }
    yield { line: "end", lsn };
  }

  async *verify(
    tier: string,
    repair: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Exclude<WireVerifyLine, { line: "failed" }>, void, undefined> {
    yield* this.replication.verify(tier, repair, signal);
  }
}

export function settingsOf(request: AddTier): TierSettings {
  const { name, url, mode, rpoSeconds, schedule, bandwidth, backlogBytesMax, secretFile, caFile } = request;
  return {
    name,
    url,
    mode,
    rpoSeconds,
    ...(schedule !== undefined && { schedule }),
    ...(bandwidth !== undefined && { bandwidth }),
    ...(backlogBytesMax !== undefined && { backlogBytesMax }),
    ...(secretFile !== undefined && { secretFile }),
    ...(caFile !== undefined && { caFile }),
  };
}

function wireTier(vault: string, status: TierStatus): WireTier {
  const { settings, since, reason, revision, progress } = status;
  const { name, mode, rpoSeconds, schedule, bandwidth, backlogBytesMax } = settings;
  const { url, state, reachedLsn, lagSeconds, lagBytes, objectsPut, bytesPut, attempts, failures } = status;
  return {
    vault,
    name,
    url,
    mode,
    rpoSeconds,
    state,
    reachedLsn,
    lagSeconds,
    lagBytes,
    objectsPut,
    bytesPut,
    attempts,
    failures,
    ...(schedule !== undefined && { schedule }),
    ...(bandwidth !== undefined && { bandwidth }),
    ...(backlogBytesMax !== undefined && { backlogBytesMax }),
    ...(since > 0 && { since: formatTime(micros(since)) }),
    ...(reason !== undefined && { reason }),
    ...(revision && { revision: revision.number }),
    ...(progress && { progress }),
  };
}

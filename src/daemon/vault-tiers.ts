/**
 * The tiers of all vaults, and vaults that come from a tier. A vault that is opened from one gets a folder of its own like any other; until it is
 * whole the folder is marked as unfinished, so a crash leaves nothing half made. Taking over and refreshing close the vault, change its folder, and open it.
 */
import { hostname } from "node:os";
import type { TierAdmin } from "../api/app.ts";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { AddTier, OpenVault, VaultKey, WireTier, WireVault } from "../contract/contract.ts";
import { arriveAsReader, becomeWriter, refreshReader, type ArrivalOptions } from "../replication/arrival.ts";
import { readLedger, type OpenStore, type TierSettings } from "../replication/replication.ts";
import type { EngineTiers } from "./engine-tiers.ts";
import { settingsOf } from "./engine-tiers.ts";
import type { VaultSlot } from "./vault-slot.ts";

export interface VaultTiersOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  openStore: OpenStore;
  /** The slot of a vault. @throws not_found */
  slot: (name: string) => VaultSlot;
  /** As the API shows it. @throws not_found */
  show: (name: string) => Promise<WireVault>;
  /** Makes a vault whose folder `fill` fills. @throws conflict: the name is taken */
  bring: (name: string, key: VaultKey | undefined, fill: (dir: string) => Promise<void>) => Promise<WireVault>;
  /** Closes a vault, works on its folder, and opens it again, also when that failed. */
  reopen: (name: string, key: VaultKey | undefined, work: (dir: string) => Promise<void>) => Promise<WireVault>;
}

export class VaultTiers implements TierAdmin {
  private readonly options: VaultTiersOptions;

  constructor(options: VaultTiersOptions) {
    this.options = options;
  }

  list(vault: string): WireTier[] {
    return this.of(vault).list();
  }

  async add(vault: string, tier: AddTier): Promise<WireTier> {
    return await this.of(vault).add(tier);
  }

  async remove(vault: string, tier: string): Promise<void> {
    await this.of(vault).remove(tier);
  }

  async *sync(vault: string, tier: string | undefined, signal: AbortSignal): ReturnType<EngineTiers["sync"]> {
    yield* this.of(vault).sync(tier, signal);
  }

  async *verify(vault: string, tier: string, repair: boolean, signal: AbortSignal): ReturnType<EngineTiers["verify"]> {
    yield* this.of(vault).verify(tier, repair, signal);
  }

  async open(request: OpenVault): Promise<WireVault> {
    const { name, tier, key, takeOver } = request;
    const settings = settingsOf({ ...request, name: tier, mode: "continuous", rpoSeconds: 5 });
    const vault = await this.options.bring(name, key, async (dir) => {
      await this.withStore(settings, async (store) => {
        await arriveAsReader(this.arrival(dir), store, settings, request.followSeconds);
      });
    });
    // Not before it has opened for reading: a wrong key or a volume's name that is taken here must not end the other writer's work.
    return takeOver === true ? await this.takeOver(name, key) : vault;
  }

  async takeOver(vault: string, key: VaultKey | undefined): Promise<WireVault> {
    const { settings } = await this.origin(vault);
    return await this.options.reopen(vault, key, async (dir) => {
      await this.withStore(settings, async (store) => {
        await becomeWriter(this.arrival(dir), store);
      });
    });
  }

  async refresh(vault: string, key: VaultKey | undefined): Promise<WireVault> {
    const { settings } = await this.origin(vault);
    const { engine } = this.options.slot(vault);
    if (engine?.refresh && key === undefined) {
      await engine.refresh();
      return await this.options.show(vault);
    }
    return await this.options.reopen(vault, key, async (dir) => {
      await this.withStore(settings, async (store) => {
        await refreshReader(this.arrival(dir), store);
      });
    });
  }

  /** The tier that a vault was opened from; asked before the vault is closed, which takes its disks away. @throws conflict: it was not, or it is written to here */
  private async origin(vault: string): Promise<{ settings: TierSettings }> {
    const slot = this.options.slot(vault);
    if (!slot.engine) throw slot.closedError();
    const { role, overtaken, tiers } = await readLedger(this.options.disk, slot.dir);
    // Whoever was overtaken may take over again, from where the other one wrote to.
    const from = overtaken ? tiers.find(({ settings }) => settings.name === overtaken.tier) : tiers[0];
    if ((role === "reader" || overtaken) && from) return from;
    throw new SternwayError("conflict", `vault ${vault} is written to here: there is nothing to take over or refresh`, {
      vault,
    });
  }

  private arrival(dir: string): ArrivalOptions {
    const { disk, clock, random } = this.options;
    return { disk, clock, random, dir, host: hostname() };
  }

  private async withStore(
    settings: TierSettings,
    work: (store: Awaited<ReturnType<OpenStore>>) => Promise<void>,
  ): Promise<void> {
    const store = await this.options.openStore(settings);
    try {
      await work(store);
    } finally {
      await store.close();
    }
  }

  private of(vault: string): EngineTiers {
    const slot = this.options.slot(vault);
    if (!slot.engine) throw slot.closedError();
    if (slot.engine.tiers) return slot.engine.tiers;
    throw new SternwayError("unavailable", `vault ${vault} has no tiers here`, { vault });
  }
}

/**
 * The vaults of one appliance: opened, served as one set of volumes, closed. A vault that cannot be opened keeps none of the others
 * from serving: it is listed with its state and the reason, its volumes answer with that reason, and `unlock` tries again.
 *
 * A volume's name belongs to one vault. Should two vaults hold one name all the same (a folder was brought in from elsewhere), the
 * vault that opens later stays closed: serving either volume under that name could give a client another disk than it wrote.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { VaultAdmin } from "../api/app.ts";
import type { CheckRequest, VaultKey, WireVault, WireVaultSpace } from "../contract/contract.ts";
import type { TierSample, VaultSample } from "../observe/metrics.ts";
import { readIdentity, unlockIdentity } from "../vault/identity.ts";
import { DEFAULT_VAULT, volumesOf } from "../volume/vault-volumes.ts";
import type { Volumes } from "../volume/volumes.ts";
import { openAsking, type AskPassphrase } from "./ask-at-start.ts";
import { KnownVolumesFile, PRINT_SALT_BYTES, readKnownVolumes, type KnownVolumes } from "./known-volumes.ts";
import { VaultCheck } from "./vault-check.ts";
import type { RetainedVault } from "./retention-task.ts";
import { VaultScrubs } from "./vault-scrub.ts";
import {
  abandonVaultFolder,
  beginVaultFolder,
  checkVaultName,
  finishVaultFolder,
  holdsVault,
  removeVaultFolder,
  settleVaultFolders,
  vaultNames,
} from "./vault-folders.ts";
import { openSlot, type OpeningOptions } from "./vault-opening.ts";
import { deleteVolumes } from "./vault-removal.ts";
import { withSecret } from "./vault-secret.ts";
import { VAULTS_MAX } from "./vault-shares.ts";
import { VaultSlot } from "./vault-slot.ts";
import { VaultTiers } from "./vault-tiers.ts";

export interface VaultsOptions extends OpeningOptions {
  dataDir: string;
  vaultsDir: string;
  /** `DATA/vaults.json` */
  knownVolumesPath: string;
  /** The key with which a vault is opened at the start, where one is to be had without asking. */
  keyAtStart?: ((vault: string) => VaultKey | undefined) | undefined;
  /** Asks for the passphrase of one that has none. Absent: nobody is there to ask. */
  askAtStart?: AskPassphrase | undefined;
  /** Told at once how to learn which encrypted vault has, or had, a volume of a name. */
  onNames?: (vaultNaming: (word: string) => string | undefined) => void;
  /** Called when vaults were opened or closed, with the folders of those that are open; never rejects. */
  onChange: (openDirs: string[]) => Promise<void>;
}

/** Opens every vault that can be opened; at the very first start makes the vault `default`. @throws unavailable: the folder cannot be used */
export async function openVaults(options: VaultsOptions): Promise<Vaults> {
  settleVaultFolders(options.dataDir, options.vaultsDir, options.log);
  const known = await readKnownVolumes(options.disk, options.knownVolumesPath, options.log);
  const vaults = new Vaults(options, known);
  try {
    await vaults.openAll();
    return vaults;
  } catch (error) {
    await vaults.stop();
    throw error;
  }
}

export class Vaults implements VaultAdmin {
  /** The volumes of all vaults. */
  readonly volumes: Volumes;
  readonly scrub: VaultScrubs;
  readonly tiers: VaultTiers;
  private readonly options: VaultsOptions;
  private readonly slots = new Map<string, VaultSlot>();
  private readonly file: KnownVolumesFile;
  private readonly checks = new VaultCheck();
  private stopped: Promise<void> | undefined;

  constructor(options: VaultsOptions, known: KnownVolumes) {
    this.options = options;
    this.file = new KnownVolumesFile(options.disk, options.knownVolumesPath);
    for (const name of new Set([...vaultNames(options.vaultsDir), ...Object.keys(known)])) {
      checkVaultName(name);
      this.slots.set(name, this.newSlot(name, known[name]));
    }
    options.onNames?.((word) => this.ordered().find((slot) => slot.encrypted === true && slot.mayName(word))?.name);
    const { disk, clock, random, openStore } = options;
    this.tiers = new VaultTiers({
      disk,
      clock,
      random,
      openStore,
      slot: (name) => this.slot(name),
      show: (name) => this.show(name),
      bring: async (name, key, fill) => {
        const slot = await this.make(name, key, fill);
        await this.changed();
        return await this.wire(slot);
      },
      reopen: (name, key, work) => this.reopen(name, key, work),
    });
    this.scrub = new VaultScrubs(options.scrub.cycleDays, (vault) => this.openSlots(vault));
    this.volumes = volumesOf({
      all: () => this.ordered(),
      reserve: async (vault, volume) => {
        this.slot(vault).expect(volume);
        await this.keepNames();
      },
      settle: async (vault, volume) => {
        this.slot(vault).settle(volume);
        await this.tryKeepNames();
      },
    });
  }

  async openAll(): Promise<void> {
    if (this.slots.size === 0) await this.make(DEFAULT_VAULT, undefined);
    else for (const slot of this.ordered()) await this.openAtStart(slot);
    await this.changed();
  }

  private newSlot(name: string, known: KnownVolumes[string] = { names: [] }): VaultSlot {
    const { vaultsDir, random } = this.options;
    return new VaultSlot(name, `${vaultsDir}/${name}`, known, random.bytes(PRINT_SALT_BYTES));
  }

  private async openAtStart(slot: VaultSlot): Promise<void> {
    const { log, tell, disk, keyAtStart, askAtStart } = this.options;
    const { name, dir } = slot;
    try {
      const key = keyAtStart?.(name);
      try {
        await this.open(slot, key, false);
      } catch (error) {
        if (!isSternwayError(error, "denied") || key !== undefined || !askAtStart) throw error;
        await openAsking({ disk, dir, vault: name }, askAtStart, error, (given) => this.open(slot, given, false));
      }
    } catch (error) {
      slot.failed(error);
      const { state } = slot.closed;
      log.error({ vault: slot.name, state, err: error }, "a vault could not be opened; the others are served");
      const level = state === "locked" ? "warning" : "alert";
      tell({ level, kind: `vault-${state}`, subject: slot.name, message: slot.closedError().message });
    }
  }

  private async open(slot: VaultSlot, key: VaultKey | undefined, make: boolean): Promise<void> {
    const all = { slots: () => this.ordered(), onMoved: () => this.tryKeepNames() };
    await openSlot(this.options, slot, all, key, make);
  }

  async list(): Promise<WireVault[]> {
    return await Promise.all(this.ordered().map((slot) => this.wire(slot)));
  }

  async show(name: string): Promise<WireVault> {
    return await this.wire(this.slot(name));
  }

  async space(name: string): Promise<WireVaultSpace> {
    const slot = this.slot(name);
    if (!slot.engine) throw slot.closedError();
    return { vault: name, ...(await slot.engine.space()) };
  }

  async create(name: string, key: VaultKey | undefined): Promise<WireVault> {
    const slot = await this.make(name, key);
    await this.changed();
    return await this.wire(slot);
  }

  /** @param fill - makes the vault in its folder; default: a new one is made */
  private async make(
    name: string,
    key: VaultKey | undefined,
    fill?: (dir: string) => Promise<void>,
  ): Promise<VaultSlot> {
    checkVaultName(name);
    const { vaultsDir } = this.options;
    const before = this.slots.get(name);
    // The folder of a missing vault may be an empty disk, mounted there to hold a new one; what it held before keeps its name.
    const isPlace = before !== undefined && before.closed.state === "missing" && before.volumeCount === 0;
    if (before && (before.engine || before.busy !== undefined || !isPlace)) {
      throw new SternwayError("conflict", `there is a vault ${name} already`, { vault: name });
    }
    if (!before && this.slots.size >= VAULTS_MAX) {
      throw new SternwayError("conflict", `an appliance has at most ${VAULTS_MAX} vaults`, { vaultsMax: VAULTS_MAX });
    }
    const slot = this.newSlot(name);
    slot.busy = "being made";
    this.slots.set(name, slot);
    try {
      const dir = beginVaultFolder(vaultsDir, name);
      try {
        await fill?.(dir);
        await this.open(slot, key, fill === undefined);
      } catch (error) {
        // What was brought from elsewhere is there still.
        if (fill && holdsVault(dir)) removeVaultFolder(dir);
        else abandonVaultFolder(dir);
        throw error;
      }
      finishVaultFolder(dir);
      return slot;
    } catch (error) {
      if (before) this.slots.set(name, before);
      else this.slots.delete(name);
      throw error;
    } finally {
      slot.busy = undefined;
    }
  }

  async lock(name: string, options: { force?: boolean }): Promise<WireVault> {
    const slot = this.slot(name);
    const { engine } = slot;
    if (!engine)
      throw new SternwayError("conflict", `vault ${name} is not open: ${slot.closedError().message}`, { vault: name });
    const users = slot.readers + engine.volumes.list().reduce((sum, info) => sum + info.attached, 0);
    if (users > 0 && options.force !== true) {
      throw new SternwayError(
        "conflict",
        `cannot close vault ${name}: its volumes are in use by ${users} client(s); detach them, or force it`,
        { vault: name, users },
      );
    }
    const state = engine.encrypted ? "locked" : "closed";
    slot.closed = { state, reason: `somebody closed it; \`sternway vault unlock ${name}\` opens it` };
    await this.close(slot, "being closed");
    await this.changed();
    return await this.wire(slot);
  }

  /** @param work - done while nobody else can open it */
  private async close(slot: VaultSlot, busy: string, work?: () => void): Promise<void> {
    const { engine } = slot;
    slot.toKeep();
    slot.engine = undefined;
    slot.busy = busy;
    try {
      await engine?.stop();
    } catch (error) {
      // Everything is closed all the same; what was answered is as safe as after a crash.
      this.options.log.error({ vault: slot.name, err: error }, "a vault could not be closed cleanly");
    }
    try {
      work?.();
    } finally {
      slot.lock?.release();
      slot.lock = undefined;
      slot.busy = undefined;
    }
  }

  async remove(name: string, options: { confirm?: string }): Promise<void> {
    const slot = this.slot(name);
    if (name === DEFAULT_VAULT) {
      throw new SternwayError("conflict", `vault ${name} takes the volumes for which none is named: it stays`);
    }
    // Its locks and holds are known to an open vault alone.
    if (!slot.engine) throw slot.closedError();
    if (slot.readers > 0) {
      throw new SternwayError("conflict", `vault ${name} is in use by ${slot.readers} reader(s): close them first`);
    }
    if (options.confirm !== undefined && options.confirm !== name) {
      throw new SternwayError("invalid", `"${options.confirm}" is not the vault's name: nothing was deleted`);
    }
    await deleteVolumes(name, slot.engine.volumes, options.confirm === name);
    slot.closed = { state: "unavailable", reason: "it was to be deleted: look into its folder" };
    await this.close(slot, "being deleted", () => removeVaultFolder(slot.dir));
    this.slots.delete(name);
    await this.changed();
  }

  async unlock(name: string, key: VaultKey | undefined): Promise<WireVault> {
    const slot = this.slot(name);
    if (slot.engine) throw new SternwayError("conflict", `vault ${name} is open already`, { vault: name });
    if (slot.busy !== undefined) throw slot.closedError();
    slot.busy = "being opened";
    try {
      await this.open(slot, key, false);
    } catch (error) {
      slot.failed(error);
      throw error;
    } finally {
      slot.busy = undefined;
    }
    await this.changed();
    return await this.wire(slot);
  }

  /** Closes a vault, lets `work` change its folder, and opens it again; also when that failed, as it is then. */
  private async reopen(
    name: string,
    key: VaultKey | undefined,
    work: (dir: string) => Promise<void>,
  ): Promise<WireVault> {
    const slot = this.slot(name);
    if (!slot.engine) throw slot.closedError();
    if (key && slot.encrypted !== true)
      throw new SternwayError("invalid", `vault ${name} is not encrypted: leave the key out`, { vault: name });
    const given = key ?? this.options.keyAtStart?.(name);
    // Before anything is changed: opening it again must not fail for that.
    if (slot.encrypted === true) await this.checkKey(slot.dir, given);
    slot.closed = { state: "closed", reason: "it was being changed" };
    await this.close(slot, "being changed");
    slot.busy = "being changed";
    try {
      try {
        await work(slot.dir);
      } finally {
        await this.open(slot, given, false);
      }
    } catch (error) {
      if (!slot.engine) slot.failed(error);
      throw error;
    } finally {
      slot.busy = undefined;
    }
    await this.changed();
    return await this.wire(slot);
  }

  /** @throws denied: it does not open the vault */
  private async checkKey(dir: string, key: VaultKey | undefined): Promise<void> {
    const { disk, log } = this.options;
    await withSecret(disk, log, key, async (secret) => {
      const { dataKey } = await unlockIdentity(dir, await readIdentity(disk, dir), secret);
      dataKey.fill(0);
    });
  }

  async forget(name: string): Promise<void> {
    const slot = this.slot(name);
    if (slot.engine || slot.closed.state !== "missing" || slot.busy !== undefined) {
      throw new SternwayError("conflict", `vault ${name} is not missing: only a vault that is gone can be forgotten`, {
        vault: name,
      });
    }
    if (vaultNames(this.options.vaultsDir).includes(name)) {
      throw new SternwayError(
        "conflict",
        `${slot.dir} is still there: remove it first, or mount its disk and unlock the vault`,
        {
          vault: name,
        },
      );
    }
    this.slots.delete(name);
    await this.keepNames();
  }

  /** What keeps vaults from working as they should; each names its vault where there are several. */
  troubles(): string[] {
    return this.ordered().flatMap((slot) => {
      const trouble = slot.trouble();
      if (trouble === undefined) return [];
      return [slot.engine && this.slots.size > 1 ? `vault ${slot.name}: ${trouble}` : trouble];
    });
  }

  /** Whether a vault is known not to be encrypted; false where that is not known, as before it was first opened. */
  isPlain(name: string): boolean {
    return this.slots.get(name)?.encrypted === false;
  }

  samples(): (VaultSample & { vault: string; dir: string })[] {
    return this.ordered().map(({ name, dir, engine }) => ({ vault: name, dir, writable: false, ...engine?.sample() }));
  }

  tierSamples(): TierSample[] {
    return this.ordered().flatMap(({ engine }) =>
      (engine?.tiers?.list() ?? []).map((tier) => ({ ...tier, tier: tier.name, online: tier.state === "online" })),
    );
  }

  /** The folders of all vaults, for what is asked of their file systems. */
  folders(): { vault: string; dir: string }[] {
    return this.ordered().map(({ name, dir }) => ({ vault: name, dir }));
  }

  /** The open vaults as retention sees them: all, or the one of a name. @throws not_found, or why that one is closed */
  retained(vault: string | undefined): RetainedVault[] {
    return this.openSlots(vault).flatMap(({ name, engine }) =>
      engine ? [{ name, volumes: engine.volumes, collect: engine.collect }] : [],
    );
  }

  private openSlots(vault: string | undefined): VaultSlot[] {
    if (vault === undefined) return this.ordered().filter((slot) => slot.engine !== undefined);
    const slot = this.slot(vault);
    if (!slot.engine) throw slot.closedError();
    return [slot];
  }

  /** Checks one vault, or all that are open, one after the other; ends with one line `end` for all. */
  check(request: CheckRequest, signal: AbortSignal): ReturnType<VaultCheck["run"]> {
    return this.checks.run(() => this.slotsToCheck(request), request, signal);
  }

  private slotsToCheck(request: CheckRequest): VaultSlot[] {
    const { volume, vault } = request;
    if (volume === undefined && vault === undefined) return this.ordered();
    // Asked for by name, a vault that is closed is an error and not a warning.
    const slot = this.slot(volume === undefined ? vault! : this.volumes.get(volume).vault);
    if (vault !== undefined && slot.name !== vault) {
      throw new SternwayError("not_found", `volume ${volume} is in vault ${slot.name}, not in ${vault}`, {
        vault: slot.name,
      });
    }
    if (!slot.engine) throw slot.closedError();
    return [slot];
  }

  /** Closes all vaults. @throws what the first that could not be closed cleanly says; the others are closed all the same */
  stop(): Promise<void> {
    this.stopped ??= (async () => {
      await this.tryKeepNames();
      const results = await Promise.allSettled(
        this.ordered().map(async (slot) => {
          try {
            await slot.engine?.stop();
          } finally {
            slot.lock?.release();
          }
        }),
      );
      for (const result of results) if (result.status === "rejected") throw result.reason;
    })();
    return this.stopped;
  }

  private slot(name: string): VaultSlot {
    const slot = this.slots.get(name);
    if (slot) return slot;
    const known = this.ordered().map((each) => each.name);
    throw new SternwayError("not_found", `there is no vault ${name}; there are: ${known.join(", ")}`, { vault: name });
  }

  /** `default` first, then by name: the order in which they are opened and listed. */
  private ordered(): VaultSlot[] {
    const rank = (slot: VaultSlot): string => (slot.name === DEFAULT_VAULT ? "" : slot.name);
    return [...this.slots.values()].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  }

  private async wire(slot: VaultSlot): Promise<WireVault> {
    const { name, engine, encrypted } = slot;
    const volumes = [...slot.volumeNames()].sort();
    const common = { name, volumes, volumeCount: slot.volumeCount, ...(encrypted === undefined ? {} : { encrypted }) };
    if (!engine) {
      const { state, reason } = slot.closed;
      return { ...common, state, reason: slot.busy === undefined ? reason : `it is ${slot.busy}` };
    }
    const status = await engine.status();
    const space = await this.options.disk.space(slot.dir).catch((error: unknown) => {
      this.options.log.warn({ err: error, vault: name }, "the free space of a vault could not be read");
      return { freeBytes: 0, totalBytes: 0 };
    });
    const { state, reason } = status;
    return { ...common, state, ...(reason === undefined ? {} : { reason }), status: { ...status, ...space } };
  }

  /** After vaults were opened or closed. */
  private async changed(): Promise<void> {
    await this.tryKeepNames();
    await this.options.onChange(this.ordered().flatMap((slot) => (slot.engine ? [slot.dir] : [])));
  }

  private keepNames(): Promise<void> {
    return this.file.write(() => Object.fromEntries(this.ordered().map((slot) => [slot.name, slot.toKeep()])));
  }

  /** Where the work is done whatever becomes of this: a name too many is taken, until the next time it can be written. */
  private async tryKeepNames(): Promise<void> {
    try {
      await this.keepNames();
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      this.options.log.warn({ err: error }, "the names of volumes could not be kept for when their vault is closed");
    }
  }
}

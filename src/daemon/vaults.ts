/**
 * The vaults of one appliance: opened, served as one set of volumes, closed. A vault that cannot be opened keeps none of the others
 * from serving: it is listed with its state and the reason, its volumes answer with that reason, and `unlock` tries again.
 *
 * A volume's name belongs to one vault. Should two vaults hold one name all the same (a folder was brought in from elsewhere), the
 * vault that opens later stays closed: serving either volume under that name could give a client another disk than it wrote.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { lockFile } from "../base/file-lock.ts";
import type { VaultAdmin } from "../api/app.ts";
import type { CheckRequest, VaultKey, WireVault, WireVaultSpace } from "../contract/contract.ts";
import type { VaultSample } from "../observe/metrics.ts";
import { DEFAULT_VAULT, volumesOf } from "../volume/vault-volumes.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { EngineOptions, OpenEngine } from "./engine.ts";
import { KnownVolumesFile, readKnownVolumes, type KnownVolumes } from "./known-volumes.ts";
import { VaultCheck } from "./vault-check.ts";
import type { RetainedVault } from "./retention-task.ts";
import { VaultScrubs } from "./vault-scrub.ts";
import {
  abandonVaultFolder,
  beginVaultFolder,
  checkVaultName,
  finishVaultFolder,
  holdsVault,
  settleVaultFolders,
  vaultNames,
} from "./vault-folders.ts";
import { shareOf, VAULTS_MAX } from "./vault-shares.ts";
import { VaultSlot } from "./vault-slot.ts";

export interface VaultsOptions extends Pick<
  EngineOptions,
  "disk" | "clock" | "random" | "storage" | "scrub" | "log" | "metrics" | "tell"
> {
  dataDir: string;
  vaultsDir: string;
  /** `DATA/vaults.json` */
  knownVolumesPath: string;
  openEngine: OpenEngine;
  /** The key with which a vault is opened at the start, where one is to be had without asking. */
  keyAtStart?: (vault: string) => VaultKey | undefined;
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
      this.slots.set(name, new VaultSlot(name, `${options.vaultsDir}/${name}`, known[name] ?? []));
    }
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

  private async openAtStart(slot: VaultSlot): Promise<void> {
    const { log, tell, keyAtStart } = this.options;
    try {
      await this.open(slot, keyAtStart?.(slot.name), false);
    } catch (error) {
      slot.failed(error);
      const { state } = slot.closed;
      log.error({ vault: slot.name, state, err: error }, "a vault could not be opened; the others are served");
      const level = state === "locked" ? "warning" : "alert";
      tell({ level, kind: `vault-${state}`, subject: slot.name, message: slot.closedError().message });
    }
  }

  /** Opens a vault into its slot. @throws why it cannot be had */
  private async open(slot: VaultSlot, key: VaultKey | undefined, make: boolean): Promise<void> {
    const { disk, clock, random, storage, scrub, log, metrics, tell, openEngine } = this.options;
    if (!make && !holdsVault(slot.dir)) {
      // Not touched, not even by a lock: it may be where a disk is to be mounted.
      throw new SternwayError("not_found", `${slot.dir} holds no vault; is its disk mounted?`, { path: slot.dir });
    }
    await using undo = new AsyncDisposableStack();
    // Beside the lock of the data folder: two of them may reach one vault through links and mounts.
    const lock = lockFile(`${slot.dir}/lock`);
    undo.defer(() => lock.release());
    const engine = await openEngine({
      disk,
      clock,
      random,
      name: slot.name,
      dir: slot.dir,
      make,
      key,
      storage: shareOf(storage, Math.max(1, this.slots.size)),
      scrub,
      log: log.child({ vault: slot.name }),
      metrics,
      tell,
    });
    undo.defer(() => engine.stop());
    this.checkNames(slot, engine.volumes);
    undo.move();
    slot.lock = lock;
    slot.encrypted = engine.encrypted;
    slot.engine = engine;
  }

  private checkNames(slot: VaultSlot, volumes: Volumes): void {
    for (const { name } of volumes.list()) {
      const other = this.ordered().find((each) => each !== slot && each.engine && each.volumeNames().includes(name));
      if (!other) continue;
      throw new SternwayError(
        "conflict",
        `volume ${name} is also in vault ${other.name}, and a name is served once: close ${other.name} with \`sternway vault lock ${other.name}\`, unlock ${slot.name}, branch the volume off under another name there and delete it, then unlock ${other.name}`,
        { vault: slot.name, other: other.name, volume: name },
      );
    }
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

  private async make(name: string, key: VaultKey | undefined): Promise<VaultSlot> {
    checkVaultName(name);
    const { vaultsDir } = this.options;
    const before = this.slots.get(name);
    // The folder of a missing vault may be an empty disk, mounted there to hold a new one; what it held before keeps its name.
    const isPlace = before !== undefined && before.closed.state === "missing" && before.volumeNames().length === 0;
    if (before && (before.engine || before.busy !== undefined || !isPlace)) {
      throw new SternwayError("conflict", `there is a vault ${name} already`, { vault: name });
    }
    if (!before && this.slots.size >= VAULTS_MAX) {
      throw new SternwayError("conflict", `an appliance has at most ${VAULTS_MAX} vaults`, { vaultsMax: VAULTS_MAX });
    }
    const slot = new VaultSlot(name, `${vaultsDir}/${name}`, []);
    slot.busy = "being made";
    this.slots.set(name, slot);
    try {
      const dir = beginVaultFolder(vaultsDir, name);
      try {
        await this.open(slot, key, true);
      } catch (error) {
        abandonVaultFolder(dir);
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
    slot.volumeNames();
    slot.engine = undefined;
    slot.busy = "being closed";
    slot.closed = { state, reason: `somebody closed it; \`sternway vault unlock ${name}\` opens it` };
    try {
      await engine.stop();
    } catch (error) {
      // Everything is closed all the same; what was answered is as safe as after a crash.
      this.options.log.error({ vault: name, err: error }, "a vault could not be closed cleanly");
    } finally {
      slot.lock?.release();
      slot.lock = undefined;
      slot.busy = undefined;
    }
    await this.changed();
    return await this.wire(slot);
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

  samples(): (VaultSample & { vault: string; dir: string })[] {
    return this.ordered().map(({ name, dir, engine }) => ({ vault: name, dir, writable: false, ...engine?.sample() }));
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
    const common = { name, volumes, ...(encrypted === undefined ? {} : { encrypted }) };
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
    return this.file.write(() => Object.fromEntries(this.ordered().map((slot) => [slot.name, slot.namesToKeep()])));
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

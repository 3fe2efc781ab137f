/**
 * One seed's life of a vault: work, crash, recover, compare with the model, go on; several times over, and at the end an orderly stop.
 *
 * Law 1: what is recovered is the state at one LSN, at or after every LSN that an answered flush covered. Law 2: past moments up to it
 * read as the model says. Law 5: what the manifest names is there and verifies. And no LSN is ever given out twice.
 */
import { deepEquals } from "bun";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import type { DirectoryOrder } from "../../src/base/simulated-tree.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { asLsn, strandOf, VaultModel } from "./model.ts";
import { openBed, type Bed } from "./vault-bed.ts";
import { LawBroken, same, Workload, type WorkloadOptions } from "./workload.ts";

export interface CrashRunOptions {
  rounds?: number;
  operations?: number;
  vault?: Partial<VaultOptions>;
  directoryOrder?: DirectoryOrder;
  workload?: Partial<WorkloadOptions>;
  /** Plants faults on the disk of a round, before the vault is opened on it. */
  sabotage?: (disk: SimulatedDisk, random: Random, round: number) => void;
  /** Plants faults once the vault is open and was compared; in one round of four before that. */
  faults?: (disk: SimulatedDisk, random: Random, round: number) => void;
  /** What lies about durability makes the floor of law 1 meaningless; the rest still holds. */
  disksLie?: boolean;
  /** Changes bytes at rest, between a crash and the next opening. From then on reads may be refused, but not be wrong. */
  damage?: (disk: SimulatedDisk, random: Random) => void;
}

export interface CrashRunStats {
  crashes: number;
  cleanStops: number;
  lsns: number;
  refused: number;
  /** Openings that gave a read-only vault, or a typed error. */
  salvaged: number;
  rejected: number;
}

const FILE_BYTES = 512 * 1024;

/** Runs one seed. @throws Error with the seed in its message, whatever went wrong */
export async function crashRun(seed: number, options: CrashRunOptions = {}): Promise<CrashRunStats> {
  const run = new CrashRun(seed, options);
  try {
    return await run.run();
  } catch (error) {
    const tail = run.disk.logText().split("\n").slice(-30).join("\n");
    const log = process.env["TEST_SEED"] === undefined ? "" : `\nlast disk operations:\n${tail}\n`;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}, round ${run.round}: ${text}${log}\nrun it again: TEST_SEED=${seed} bun test …`, {
      cause: error,
    });
  }
}

class CrashRun {
  disk: SimulatedDisk;
  round = 0;
  private sim: Simulation;
  private readonly seed: number;
  private readonly options: CrashRunOptions;
  private readonly random: Random;
  private model = new VaultModel();
  private readonly stats: CrashRunStats = { crashes: 0, cleanStops: 0, lsns: 0, refused: 0, salvaged: 0, rejected: 0 };
  private isDamaged = false;
  private isFaultyOpening = false;
  private isInspected = false;

  constructor(seed: number, options: CrashRunOptions) {
    this.seed = seed;
    this.options = options;
    this.random = seededRandom(seed ^ 0x5eed);
    this.sim = new Simulation(seed);
    const directoryOrder = options.directoryOrder ?? (seed % 2 === 0 ? "prefix" : "any-order");
    this.disk = new SimulatedDisk(this.sim, { directoryOrder });
  }

  async run(): Promise<CrashRunStats> {
    const rounds = this.options.rounds ?? 4;
    for (this.round = 1; this.round <= rounds; this.round++) {
      const isLast = this.round === rounds;
      this.options.sabotage?.(this.disk, this.random, this.round);
      this.isFaultyOpening = this.random.below(4) === 0;
      if (this.isFaultyOpening) this.options.faults?.(this.disk, this.random, this.round);
      // Early crashes meet the opening and the recovery, late ones merges.
      const steps = isLast ? 2_000_000 : 20 + this.random.below(this.random.below(3) === 0 ? 200 : 4_000);
      const result = await this.sim.runFor(steps, () => this.session(isLast));
      if (isLast && !result.done) throw new Error("the last round did not come to its end");
      const next = this.sim.rebooted();
      this.disk = result.done && result.value === "stopped" ? this.disk.shutDown(next) : this.disk.crashed(next);
      this.sim = next;
      if (result.done && result.value === "stopped") this.stats.cleanStops++;
      else this.stats.crashes++;
      if (this.options.damage && (isLast || this.random.below(rounds) === 0)) {
        this.options.damage(this.disk, this.random);
        this.isDamaged = true;
        break;
      }
    }
    this.round++;
    await this.sim.run(() => this.inspect(), { stepsMax: 3_000_000 });
    this.stats.lsns = this.model.highestLsn;
    return this.stats;
  }

  /** One life of the vault: until the crash, or an orderly stop. */
  private async session(isLast: boolean): Promise<"stopped" | "running" | "failed"> {
    const bed = await this.open();
    if (!bed) return "failed";
    await this.recovered(bed);
    if (bed.vault.readOnlyReason !== undefined) {
      this.stats.salvaged++;
      return "failed";
    }
    const { mayFail } = this.options.workload ?? {};
    if (!this.isFaultyOpening) this.options.faults?.(this.disk, this.random, this.round);
    const workload = new Workload(this.sim, bed, this.model, this.random.below(2 ** 31), {
      operations: this.options.operations ?? 150,
      clients: 1 + this.random.below(4),
      ...this.options.workload,
    });
    await workload.run();
    this.stats.refused += workload.refused;
    if (!isLast && this.random.below(2) === 0) return "running";
    try {
      await bed.vault.stop();
    } catch (error) {
      if (mayFail?.(error) !== true) throw error;
      return "running";
    }
    if (this.disk.openFileCount > 0) throw new Error(`${this.disk.openFileCount} files are open after an orderly stop`);
    if (bed.vault.journal.durableLsn === bed.vault.lastLsn) this.model.covered(bed.vault.lastLsn);
    return "stopped";
  }

  private async open(): Promise<Bed | undefined> {
    try {
      return await openBed(this.sim, this.disk, {
        journalFileBytes: FILE_BYTES,
        journalFilesMax: 5,
        // Images in two of three seeds, and often: in real vaults they come after 65,536 entries.
        ...(this.seed % 3 === 0 ? {} : { imageEntriesMin: 50 * (this.seed % 3) }),
        indexBudgetBytes: 12 * 1024 * (1 + (this.seed % 4)),
        ...this.options.vault,
      });
    } catch (error) {
      const mayFail = this.isDamaged ? isSternwayError(error) : this.options.workload?.mayFail?.(error);
      if (mayFail !== true) throw error;
      this.stats.rejected++;
      return undefined;
    }
  }

  /** Laws 1 and 2 after an opening; then the model forgets what the crash took. */
  private async recovered({ vault, volumes }: Bed): Promise<void> {
    const at = vault.recoveredLsn;
    const isReadOnly = vault.readOnlyReason !== undefined;
    // A vault that says that it is damaged may show an older state; the next opening may find more again.
    const isFaulty = this.isDamaged || this.options.disksLie === true;
    const mayLose = isFaulty || (isReadOnly && this.options.workload?.mayFail !== undefined);
    if (at < this.model.durableLsn && !mayLose) {
      throw new LawBroken(
        `law 1: recovered LSN ${at} (${vault.readOnlyReason ?? "writable"}), but an answered flush covered ${this.model.durableLsn}`,
      );
    }
    if (at > this.model.highestLsn) throw new LawBroken(`law 1: recovered LSN ${at} was never given out`);
    if (vault.readOnlyReason === undefined && this.model.highestLsn > vault.lastLsn) {
      throw new LawBroken(`LSN ${this.model.highestLsn} was given out; the next would be ${vault.lastLsn + 1}`);
    }
    const whole = this.model;
    if (isReadOnly) this.model = whole.prefix(at);
    else whole.cut(at);
    if (isFaulty) whole.durableLsn = 0;
    try {
      await this.compare({ vault, volumes }, at, !mayLose);
    } finally {
      this.model = whole;
    }
    if (!isReadOnly) this.model.attach(vault);
  }

  private async compare({ vault, volumes }: Bed, at: number, isSound: boolean): Promise<void> {
    const actual = volumes.list().map(({ name, sizeBytes, bookmarkCount }) => {
      const record = vault.registry.find(name)!;
      const bookmarks = Object.fromEntries(volumes.bookmarks(name).map((mark) => [mark.name, mark.lsn as number]));
      if (bookmarkCount !== volumes.bookmarks(name).length) throw new LawBroken("bookmarks do not count up");
      return { id: record.id, name, strand: record.strands.at(-1)!.strand as number, sizeBytes, bookmarks };
    });
    actual.sort((a, b) => a.id - b.id);
    if (!deepEquals(actual, this.model.summary())) {
      throw new LawBroken(
        `law 1: volumes at LSN ${at} are ${JSON.stringify(actual)}, not ${JSON.stringify(this.model.summary())}`,
      );
    }
    await this.compareAt(vault, at, 400);
    const flushes = this.model.events.filter((event) => event.kind === "flush");
    for (let i = 0; i < 6 && flushes.length > 0; i++) {
      await this.compareAt(vault, flushes[this.random.below(flushes.length)]!.lsn, 12);
    }
    for (let i = 0; i < 6 && at > 0; i++) await this.compareAt(vault, 1 + this.random.below(at), 12);
    if (isSound) await this.checkLaw5(vault);
  }

  /** Compares all volumes that exist at an LSN, up to so many blocks of each. */
  private async compareAt(vault: Vault, at: number, blocksMax: number): Promise<void> {
    for (const volume of this.model.volumesAt(at)) {
      // The moments of a deleted volume are let go.
      if (volume.deletedLsn !== undefined) continue;
      const strand = strandOf(volume, at)!;
      const touched = this.model.touched(strand);
      const skip = Math.max(0, touched.length - blocksMax);
      const from = this.random.below(skip + 1);
      const blocks = touched.slice(from, from + blocksMax);
      for (let i = 0; i < blocks.length;) {
        let count = 1;
        while (i + count < blocks.length && blocks[i + count] === blocks[i]! + count && count < 64) count++;
        await this.compareBlocks(vault, strand, at, blocks[i]!, count);
        i += count;
      }
      await this.compareBlocks(vault, strand, at, (touched.at(-1) ?? 0) + 1, 2);
    }
  }

  private async compareBlocks(vault: Vault, strand: number, at: number, first: number, count: number): Promise<void> {
    const bytes = new Uint8Array(count * 4096);
    try {
      await vault.read(strand, asLsn(at), first, bytes);
    } catch (error) {
      const isDamaged = this.isDamaged || this.options.disksLie === true;
      if (isDamaged ? isSternwayError(error) : !this.isInspected && this.options.workload?.mayFail?.(error) === true)
        return;
      throw error;
    }
    for (let i = 0; i < count; i++) {
      const expected = this.model.block(strand, at, first + i);
      same(
        bytes.subarray(i * 4096, (i + 1) * 4096),
        expected,
        `recovered at ${vault.recoveredLsn}: strand ${strand} block ${first + i} at LSN ${at}`,
      );
    }
  }

  private async checkLaw5(vault: Vault): Promise<void> {
    if (this.options.workload?.mayFail !== undefined && !this.isInspected) return;
    for await (const step of checkVault(vault)) {
      if (step.line === "finding")
        throw new LawBroken(`law 5: ${step.subject}: ${step.message} (${step.kind}, ${step.severity})`);
    }
  }

  /** The last opening: everything, at every flush point. */
  private async inspect(): Promise<void> {
    // No faults from here on: what was refused before must be there.
    this.isInspected = true;
    const bed = await this.open();
    if (!bed) return;
    await this.recovered(bed);
    if (bed.vault.readOnlyReason !== undefined) {
      if (!this.isDamaged && this.options.disksLie !== true)
        throw new LawBroken(`read-only: ${bed.vault.readOnlyReason}`);
      this.stats.salvaged++;
    }
    for (const event of this.model.events) {
      if (event.kind === "flush" && event.lsn <= bed.vault.recoveredLsn) await this.compareAt(bed.vault, event.lsn, 4);
    }
    await bed.vault.stop();
  }
}

/**
 * One seed's life of a vault that lets go of history: clients write, roll back, branch, delete; retention thins and holds; collecting, the scrub and the
 * keeper of keys run beside them; disks fail, bits rot, and the power goes at any step. By seed the vault is encrypted, its disk reorders
 * directories, and errors come.
 *
 * Law 1: workload.ts and the comparison after each opening. Law 2: every moment that is needed reads as the model says; law 3: one that is not needed is
 * refused, or right because somebody else needs it, and rot gives right bytes or an error. Law 5: the check finds nothing. Law 6: what is
 * needed reads, after any collecting. Law 7: epochs only grow, and a writer that was overtaken writes nothing. Law 8: workload.ts waits for each
 * answer, and errors are told only while the disk fails. Law 9: memory maps and queues stay below what their settings say.
 */
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import type { Secret } from "../../src/security/secret.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import type { VolumeRecord } from "../../src/vault/registry.ts";
import { Scrub } from "../../src/vault/scrubbing/scrub.ts";
import { rotateVaultKey } from "../../src/vault/vault-keys.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { horizonOf, isKept, keptPoints } from "../../src/volume/kept-moments.ts";
import { isUnavailable } from "./faults.ts";
import { asLsn, sizeOf, strandOf, VaultModel } from "./model.ts";
import { openBed, VAULT_DIR, type Bed } from "./vault-bed.ts";
import { LawBroken, same, Workload } from "./workload.ts";

const BLOCK = 4096;
const ROUNDS = 5;
const JOURNAL_FILES_MAX = 6;
const STEPS_MAX = 4_000_000;

export interface AgeingStats {
  crashes: number;
  thinnings: number;
  holds: number;
  collected: number;
  scrubbed: number;
  rekeyed: number;
  refused: number;
  compared: number;
  rotten: number;
}

export interface AgeingOptions {
  /** Default 5. */
  rounds?: number;
  /** Of the clients, a round. Default 220. */
  operations?: number;
  /** Default true: rounds but the last end in the middle of something. */
  crashes?: boolean;
  /** Plants errors of the disk, in each round but the last, once the vault is open. */
  faults?: (disk: SimulatedDisk, random: Random) => void;
  /** Bits that turn over in packs at the end. */
  rot?: boolean;
}

/** Runs one seed. @throws Error with the seed in its message */
export async function ageingRun(seed: number, options: AgeingOptions = {}): Promise<AgeingStats> {
  const run = new AgeingRun(seed, options);
  try {
    return await run.run();
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}, round ${run.round}: ${text}\nrun it again: TEST_SEED=${seed} bun test …`, {
      cause: error,
    });
  }
}

const keyOf = (number: number): Secret => ({ kind: "key-file", bytes: new Uint8Array(32).fill(number) });

class AgeingRun {
  round = 0;
  private readonly options: AgeingOptions;
  private readonly random: Random;
  private readonly isEncrypted: boolean;
  private readonly model = new VaultModel();
  private sim: Simulation;
  private disk: SimulatedDisk;
  /** Which key opens it; while a rotation is under way, that one or the next. */
  private keys = [1];
  private epoch = 0;
  private isRotten = false;
  private readonly stats: AgeingStats = {
    crashes: 0,
    thinnings: 0,
    holds: 0,
    collected: 0,
    scrubbed: 0,
    rekeyed: 0,
    refused: 0,
    compared: 0,
    rotten: 0,
  };

  constructor(seed: number, options: AgeingOptions) {
    this.options = options;
    this.random = seededRandom(seed ^ 0xa9e1);
    this.isEncrypted = seed % 3 === 0;
    this.sim = new Simulation(seed);
    this.disk = new SimulatedDisk(this.sim, { directoryOrder: seed % 2 === 0 ? "prefix" : "any-order" });
  }

  async run(): Promise<AgeingStats> {
    const { rounds = ROUNDS, crashes = true, faults } = this.options;
    for (this.round = 1; this.round <= rounds; this.round++) {
      const isLast = this.round === rounds;
      const isFaulty = faults !== undefined && !isLast;
      const steps = isLast || !crashes ? STEPS_MAX : 500 + this.random.below(12_000);
      const result = await this.sim.runFor(steps, () => this.session(isFaulty));
      if (isLast && !result.done) throw new Error("the last round did not come to its end");
      const next = this.sim.rebooted();
      this.disk = result.done && result.value === "stopped" ? this.disk.shutDown(next) : this.disk.crashed(next);
      this.sim = next;
      if (!result.done) this.stats.crashes++;
    }
    if (this.options.rot === true) this.rot();
    await this.sim.run(() => this.inspect(), { stepsMax: STEPS_MAX });
    return this.stats;
  }

  private async open(): Promise<Bed> {
    for (const key of this.keys) {
      try {
        const bed = await openBed(this.sim, this.disk, {
          journalFileBytes: 512 * 1024,
          journalFilesMax: JOURNAL_FILES_MAX,
          imageEntriesMin: 60,
          collectDroppedMin: this.random.below(2) === 0 ? 8 : 65_536,
          collectBytesPerSecond: 2 ** 20,
          ...(this.isEncrypted ? { encrypt: keyOf(key), unlock: keyOf(key) } : {}),
        });
        this.keys = [key];
        return bed;
      } catch (error) {
        if (key === this.keys.at(-1) || !isSternwayError(error, "denied")) throw error;
      }
    }
    throw new Error("there is always a key");
  }

  private async session(isFaulty: boolean): Promise<"stopped" | "failed"> {
    let bed: Bed;
    try {
      bed = await this.open();
    } catch (error) {
      if (isFaulty && isUnavailable(error)) return "failed";
      throw error;
    }
    const { vault } = bed;
    if (vault.readOnlyReason !== undefined) {
      if (isFaulty) return "failed";
      throw new LawBroken(`read-only: ${vault.readOnlyReason}`);
    }
    this.checkEpoch(vault);
    this.model.cut(vault.recoveredLsn);
    await this.compare(bed);
    this.model.attach(vault);
    if (isFaulty) this.options.faults?.(this.disk, this.random);
    const mayFail = isFaulty ? { mayFail: isUnavailable } : {};
    const seed = this.random.below(2 ** 31);
    const workload = new Workload(this.sim, bed, this.model, seed, {
      operations: this.options.operations ?? 220,
      clients: 2,
      ...mayFail,
    });
    let isWorking = true;
    const goesOn = (): boolean => isWorking;
    const working = workload.run().finally(() => {
      isWorking = false;
    });
    await Promise.all([
      working,
      this.actor(isFaulty, goesOn, () => this.letGo(vault)),
      this.actor(isFaulty, goesOn, () => this.scrub(vault)),
      ...(this.isEncrypted ? [this.actor(isFaulty, goesOn, () => this.rekey())] : []),
    ]);
    this.stats.refused += workload.refused;
    if (!isFaulty) await this.compare(bed);
    try {
      await vault.stop();
    } catch (error) {
      if (isFaulty && isUnavailable(error)) return "failed";
      throw error;
    }
    return "stopped";
  }

  /** Does something again and again beside the clients; while the disk fails, failing is allowed. */
  private async actor(isFaulty: boolean, goesOn: () => boolean, act: () => Promise<void>): Promise<void> {
    while (goesOn()) {
      await this.sim.clock.sleep(1 + this.random.below(80));
      try {
        await act();
      } catch (error) {
        if (!isFaulty || !isUnavailable(error)) throw error;
      }
    }
  }

  /** Law 9, wherever somebody comes by. */
  private checkBounds(vault: Vault): void {
    const { memtables } = vault.sealing.versions.current;
    // Where a file cannot be written its groups move to another, beside which it waits for its end.
    const filesMax = this.options.faults ? 2 * JOURNAL_FILES_MAX : JOURNAL_FILES_MAX;
    if (memtables.length > filesMax || vault.sealing.backlog > filesMax)
      throw new LawBroken(`law 9: ${memtables.length} memory maps, ${vault.sealing.backlog} stretches wait`);
  }

  /** Law 7: no two writers share an epoch. */
  private checkEpoch(vault: Vault): void {
    const { epoch } = vault.sealing.manifest;
    if (epoch <= this.epoch) throw new LawBroken(`law 7: epoch ${epoch} after ${this.epoch}`);
    this.epoch = epoch;
  }

  /** Retention and the operator. */
  private async letGo(vault: Vault): Promise<void> {
    this.checkBounds(vault);
    const volumes = vault.registry.volumes();
    const volume = volumes[this.random.below(Math.max(1, volumes.length))];
    if (volume && this.random.below(4) > 0) await this.thin(vault, volume.id);
    if (volume && this.random.below(4) === 0) await this.hold(vault, volume.id);
    if (this.random.below(3) > 0) return;
    const report = await vault.collect();
    if (!this.options.faults && report.packsDamaged > 0) throw new LawBroken("law 6: collecting met damage");
    this.stats.collected += report.packsDeleted + report.packsRepacked;
  }

  private async scrub(vault: Vault): Promise<void> {
    const scrub = await Scrub.open(vault);
    for (let i = this.random.below(6); i > 0; i--) {
      const { findings } = await scrub.step();
      // What a failing disk does not give is as good as damaged, until it gives it.
      if (findings.length > 0 && !this.options.faults)
        throw new LawBroken(`law 3: the scrub finds ${findings[0]!.finding.message} where nothing was damaged`);
      this.stats.scrubbed++;
    }
  }

  private async rekey(): Promise<void> {
    const place = { disk: this.disk, dir: VAULT_DIR };
    const next = 1 + ((this.keys.at(-1)! + 1 + this.random.below(200)) % 255);
    for (const old of this.keys) {
      // Where an earlier one failed, nobody knows which of two it is.
      const others = this.keys.filter((key) => key !== old);
      try {
        this.keys = [...new Set([old, next, ...others])];
        await rotateVaultKey(place, this.sim.random, keyOf(old), keyOf(next));
        this.keys = [next];
        this.stats.rekeyed++;
        return;
      } catch (error) {
        if (others.length === 0 || !isSternwayError(error, "denied")) throw error;
        this.keys = others;
      }
    }
  }

  /** A mark as the planner makes it: of what is kept now, some. */
  private async thin(vault: Vault, id: number): Promise<void> {
    const gone = new Error("deleted meanwhile");
    try {
      await vault.mark(() => {
        const volume = vault.registry.byId(id)!;
        if (volume.deletedLsn !== undefined) throw gone;
        const before = horizonOf(volume);
        const horizonLsn = before + this.random.below(vault.lastLsn - before + 1);
        const points = (volume.kept?.points ?? []).filter(() => this.random.below(3) > 0);
        const taken = new Set(points.map((point) => point.lsn));
        for (let i = this.random.below(3); i > 0 && horizonLsn > before; i--) {
          const at = before + this.random.below(horizonLsn - before);
          if (!taken.has(at)) points.push({ lsn: at, time: 0, why: "hourly" });
          taken.add(at);
        }
        points.sort((a, b) => a.lsn - b.lsn);
        return { kind: "thinned", volume: id, horizonLsn, points, time: 0 };
      });
      this.stats.thinnings++;
    } catch (error) {
      if (error !== gone) throw error;
    }
  }

  /** Holds a moment that can be had, or releases one. */
  private async hold(vault: Vault, id: number): Promise<void> {
    const gone = new Error("deleted meanwhile");
    try {
      await vault.mark(() => {
        const volume = vault.registry.byId(id)!;
        if (volume.deletedLsn !== undefined) throw gone;
        const held = volume.holds ?? [];
        if (held.length > 2) return { kind: "hold-released", volume: id, name: held[0]!.name, time: 0 };
        const moments = [...keptPoints(volume).map((point) => point.lsn), horizonOf(volume), vault.lastLsn];
        const lsn = moments[this.random.below(moments.length)]!;
        return { kind: "held", volume: id, name: `h${vault.lastLsn}`, lsn, at: 0, time: 0, note: "" };
      });
      this.stats.holds++;
    } catch (error) {
      if (error !== gone) throw error;
    }
  }

  private async compare({ vault }: Bed): Promise<void> {
    const newest = vault.lastLsn;
    for (const volume of vault.registry.volumes()) {
      const recent = [0, 1, 2].map(() => horizonOf(volume) + this.random.below(newest - horizonOf(volume) + 1));
      const moments = new Set([newest, ...keptPoints(volume).map((point) => point.lsn), ...recent]);
      for (const at of moments) await this.compareAt(vault, volume, at);
      for (let i = 0; i < 3; i++) {
        const at = 1 + this.random.below(newest);
        if (at >= volume.createdLsn && !isKept(volume, at)) await this.expectRefused(vault, volume, at);
      }
    }
    if (this.isRotten) return;
    for await (const step of checkVault(vault)) {
      if (step.line === "finding") throw new LawBroken(`laws 5 and 6: ${step.subject}: ${step.message}`);
    }
  }

  private async compareAt(vault: Vault, volume: VolumeRecord, at: number): Promise<void> {
    const known = this.model.volumes.find(({ id }) => id === volume.id)!;
    const strand = strandOf(known, at)!;
    const end = Math.ceil(sizeOf(known, at) / BLOCK);
    const touched = this.model.touched(strand).filter((block) => block < end);
    for (const block of touched) {
      // Some 48 of each moment: there are many moments.
      if (this.random.below(touched.length) >= 48) continue;
      const bytes = new Uint8Array(BLOCK);
      try {
        await vault.read(strand, asLsn(at), block, bytes);
      } catch (error) {
        if (!this.isRotten || !isSternwayError(error, "corrupt")) throw error;
        this.stats.rotten++;
        continue;
      }
      same(bytes, this.model.block(strand, at, block), `law 2: ${volume.name}, block ${block} at needed LSN ${at}`);
      this.stats.compared++;
    }
  }

  /** What is not kept is refused, unless another volume needs the very same moment of the strand. */
  private async expectRefused(vault: Vault, volume: VolumeRecord, at: number): Promise<void> {
    const known = this.model.volumes.find(({ id }) => id === volume.id)!;
    const strand = strandOf(known, at)!;
    const bytes = new Uint8Array(BLOCK);
    try {
      await vault.read(strand, asLsn(at), 0, bytes);
    } catch (error) {
      if (isSternwayError(error, "not_found") || (this.isRotten && isSternwayError(error, "corrupt"))) return;
      throw error;
    }
    same(bytes, this.model.block(strand, at, 0), `law 3: a moment that was let go, LSN ${at} of ${volume.name}`);
  }

  /** Turns over bits in up to three packs. */
  private rot(): void {
    const packs = this.disk.paths().filter((path) => path.endsWith(".pack"));
    for (let i = 1 + this.random.below(3); i > 0 && packs.length > 0; i--) {
      const path = packs[this.random.below(packs.length)]!;
      const size = this.disk.peek(path)!.length;
      this.disk.flipBit(path, this.random.below(size), this.random.below(8));
      this.isRotten = true;
    }
  }

  /** The last opening: no faults any more. */
  private async inspect(): Promise<void> {
    const bed = await this.open();
    const { vault } = bed;
    if (vault.readOnlyReason !== undefined) throw new LawBroken(`read-only: ${vault.readOnlyReason}`);
    this.model.cut(vault.recoveredLsn);
    await this.compare(bed);
    if (this.isRotten) await this.scrubAll(vault);
    await vault.collect();
    await this.compare(bed);
    await vault.stop();
  }

  /** Finds what rotted, and repairs what it can; nothing gets worse by it. */
  private async scrubAll(vault: Vault): Promise<void> {
    const scrub = await Scrub.open(vault);
    scrub.restart();
    let found = 0;
    for (let ended = false; !ended;) {
      const step = await scrub.step();
      found += step.findings.length;
      ended = step.endsCycle;
    }
    if (found === 0) throw new LawBroken("law 3: the scrub finds nothing where bits were turned over");
  }
}

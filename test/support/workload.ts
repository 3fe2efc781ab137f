/**
 * Clients of a simulated vault: a few that write, clear, flush and read at once, and one administrator that creates, resizes, branches,
 * rolls back, deletes and bookmarks beside them. What they do comes from a seed.
 *
 * Every read of a client, live or past, is compared with the model on the spot. Clients also remember the sectors that
 * they wrote themselves and no other at the same time, without the model: they share blocks, so a lost merge shows.
 */
import type { WritableDevice } from "../../src/base/device.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { Simulation } from "../../src/base/simulation.ts";
import type { Vault } from "../../src/vault/vault.ts";
import type { Volumes } from "../../src/volume/volumes.ts";
import { sizeOf, strandOf, type ModelVolume, type VaultModel } from "./model.ts";

const BLOCK = 4096;
const SECTOR = 512;
const MIB = 2 ** 20;

export interface WorkloadOptions {
  operations: number;
  clients: number;
  /** Errors that operations may meet; the run goes on. Default: none but those that a rival change of volumes explains. */
  mayFail?: (error: unknown) => boolean;
  /** No administrator: volumes stay as they are. */
  volumesStay?: boolean;
}

/** A range in flight. */
interface Busy {
  volume: number;
  start: number;
  end: number;
  /** Others that were in flight at the same time and share sectors: which of them comes last nobody can tell. */
  rivals: Busy[];
}

export class Workload {
  /** Operations answered, and those refused by planted faults. */
  answered = 0;
  refused = 0;

  private readonly sim: Simulation;
  private readonly vault: Vault;
  private readonly volumes: Volumes;
  private readonly model: VaultModel;
  private readonly random: Random;
  private readonly options: WorkloadOptions;
  private readonly busy = new Set<Busy>();
  /** By volume: what clients know that they wrote, by sector. */
  private readonly known = new Map<number, Map<number, Uint8Array>>();
  /** By volume: grows when sectors change by other means than a client's write. */
  private readonly upheavals = new Map<number, number>();
  private left: number;
  private serial = 1;

  constructor(
    sim: Simulation,
    bed: { vault: Vault; volumes: Volumes },
    model: VaultModel,
    seed: number,
    options: WorkloadOptions,
  ) {
    this.sim = sim;
    this.vault = bed.vault;
    this.volumes = bed.volumes;
    this.model = model;
    this.random = seededRandom(seed);
    this.options = options;
    this.left = options.operations;
    model.onMark = (volume) => this.disturb(volume);
  }

  async run(): Promise<void> {
    if (this.volumes.list().length === 0) {
      await this.attempt(() => this.create("a"));
      await this.attempt(() => this.create("b"));
    }
    const clients = Array.from({ length: this.options.clients }, () => this.client());
    if (this.options.volumesStay !== true) clients.push(this.administrator());
    // All of them come to an end before an error of one counts: none works on behind the caller's back.
    for (const result of await Promise.allSettled(clients)) if (result.status === "rejected") throw result.reason;
  }

  private async client(): Promise<void> {
    let device: { volume: ModelVolume; open: WritableDevice } | undefined;
    while (this.left-- > 0) {
      if (this.random.below(8) === 0) await this.sim.clock.sleep(this.random.below(4));
      if (device && this.random.below(12) === 0) {
        await device.open.close();
        device = undefined;
      }
      await this.attempt(async () => {
        device ??= await this.openSome();
        if (device) await this.operation(device.volume, device.open);
      });
      if (device && device.volume.deletedLsn !== undefined) {
        await device.open.close();
        device = undefined;
      }
    }
    await device?.open.close();
  }

  private async openSome(): Promise<{ volume: ModelVolume; open: WritableDevice } | undefined> {
    const volume = this.someVolume();
    return volume && { volume, open: await this.volumes.openLive(volume.name) };
  }

  private someVolume(): ModelVolume | undefined {
    const live = this.model.volumes.filter((volume) => volume.deletedLsn === undefined);
    return live[this.random.below(live.length)];
  }

  private async operation(volume: ModelVolume, device: WritableDevice): Promise<void> {
    const dice = this.random.below(100);
    if (dice < 50) await this.write(volume, device);
    else if (dice < 60) await this.clear(volume, device);
    else if (dice < 75) {
      const floor = this.vault.lastLsn;
      await device.flush();
      this.model.covered(floor);
    } else if (dice < 88) await this.readNow(volume, device);
    else if (dice < 97) await this.readPast(volume);
    else if (dice < 98) await this.vault.seal();
    else await this.sim.clock.sleep(20);
  }

  private async write(volume: ModelVolume, device: WritableDevice): Promise<void> {
    const range = this.range(volume, device, this.random.below(24) === 0 ? MIB + 128 * 1024 : 0);
    if (!range) return;
    const data = this.content(range.start, range.end - range.start);
    const fua = this.random.below(8) === 0;
    await this.change(
      volume,
      range,
      fua,
      () => device.write(range.start, data, fua),
      (at) => data.subarray(at - range.start, at - range.start + SECTOR),
    );
  }

  private async clear(volume: ModelVolume, device: WritableDevice): Promise<void> {
    const large = this.random.below(3) === 0 ? device.sizeBytes : 0;
    const range = this.range(volume, device, large);
    if (!range) return;
    const length = range.end - range.start;
    const fua = this.random.below(8) === 0;
    const mayHole = this.random.below(2) === 0;
    const act = (): Promise<void> | undefined =>
      this.random.below(2) === 0
        ? device.trim(range.start, length, fua)
        : device.writeZeroes(range.start, length, mayHole, fua);
    // A large clear makes sectors known only where a client knew them: memory stays small.
    await this.change(volume, range, fua, act, () => undefined);
  }

  private async change(
    volume: ModelVolume,
    range: Busy,
    fua: boolean,
    act: () => Promise<void> | undefined,
    sector: (at: number) => Uint8Array | undefined,
  ): Promise<void> {
    const known = this.knownOf(volume);
    this.forget(known, range);
    for (const other of this.busy) {
      if (other.volume !== range.volume || other.start >= range.end || range.start >= other.end) continue;
      other.rivals.push(range);
      range.rivals.push(other);
    }
    this.busy.add(range);
    const upheaval = this.upheavals.get(volume.id);
    const before = this.vault.lastLsn;
    try {
      const pending = act();
      if (pending) await pending;
      if (fua) this.model.covered(before);
    } finally {
      this.busy.delete(range);
    }
    if (this.upheavals.get(volume.id) !== upheaval || range.end - range.start > 4 * MIB) return;
    for (let at = range.start; at < range.end; at += SECTOR) {
      const data = sector(at);
      const isContested = range.rivals.some((rival) => at >= rival.start && at < rival.end);
      if (isContested) known.delete(at);
      else if (data) known.set(at, data);
    }
  }

  private async readNow(volume: ModelVolume, device: WritableDevice): Promise<void> {
    const length = SECTOR * (1 + this.random.below(64));
    const offset = this.near(device.sizeBytes, length);
    if (offset + length > device.sizeBytes) return;
    const strand = strandOf(volume, Infinity)!;
    const at = this.vault.lastLsn;
    const expected = this.expected(strand, at, offset, length);
    const known = [...this.knownOf(volume)].filter(([sector]) => sector >= offset && sector < offset + length);
    const idle = known.filter(([sector]) => !this.isBusy(volume.id, sector, sector + SECTOR));
    const bytes = await device.read(offset, length);
    same(bytes, expected, `volume ${volume.name} at LSN ${at} (now), offset ${offset}, strand ${strand}`);
    for (const [sector, data] of idle) {
      same(
        bytes.subarray(sector - offset, sector - offset + SECTOR),
        data,
        `the client's own sector at ${sector} of ${volume.name}`,
      );
    }
  }

  private async readPast(volume: ModelVolume): Promise<void> {
    const newest = this.vault.lastLsn;
    const at = volume.createdLsn + this.random.below(newest - volume.createdLsn + 1);
    const size = sizeOf(volume, at);
    const length = Math.min(size, SECTOR * (1 + this.random.below(64)));
    const offset = this.near(size, length);
    if (offset + length > size) return;
    const expected = this.expected(strandOf(volume, at)!, at, offset, length);
    const device = await this.volumes.openAt(volume.name, { kind: "lsn", lsn: at as never });
    const bytes = await device.read(offset, length);
    await device.close();
    same(bytes, expected, `volume ${volume.name} at past LSN ${at} of ${newest}, offset ${offset}`);
  }

  private async administrator(): Promise<void> {
    let names = 0;
    while (this.left > 0) {
      await this.sim.clock.sleep(1 + this.random.below(30));
      await this.attempt(async () => {
        const volume = this.someVolume();
        const dice = this.random.below(10);
        const name = `v${this.vault.lastLsn}-${names++}`;
        const force = this.random.below(2) === 0;
        if (!volume || dice < 1) {
          if (this.model.volumesAt(Infinity).length < 6) await this.create(name);
          return;
        }
        const moment = volume.createdLsn + this.random.below(this.vault.lastLsn - volume.createdLsn + 1);
        if (dice < 3) {
          if (this.model.volumesAt(Infinity).length >= 6) return;
          await this.volumes.branch(volume.name, { kind: "lsn", lsn: moment as never }, name);
        } else if (dice < 5) {
          await this.volumes.rollback(volume.name, { kind: "lsn", lsn: moment as never }, { force });
        } else if (dice < 6) {
          if (this.model.volumesAt(Infinity).length <= 1) return;
          await this.volumes.delete(volume.name, { force });
        } else if (dice < 8) {
          // Shrinking clears before it marks.
          this.disturb(volume.id);
          const size = sizeOf(volume, Infinity);
          const change = SECTOR * this.random.below(4096);
          const grown = this.random.below(2) === 0 ? size + change : size - change;
          await this.volumes.resize(volume.name, Math.max(SECTOR, grown), { force });
        } else if (dice < 9 || volume.bookmarks.size === 0) {
          await this.volumes.bookmark(
            volume.name,
            name,
            { kind: this.random.below(2) === 0 ? "now" : "lsn", lsn: moment as never },
            "",
          );
        } else {
          await this.volumes.removeBookmark(volume.name, [...volume.bookmarks.keys()][0]!);
        }
        this.coverMarks();
      });
    }
  }

  private async create(name: string): Promise<void> {
    const size = this.random.below(5) === 0 ? 3 * 2 ** 30 : MIB + SECTOR * this.random.below(4096);
    await this.volumes.create(name, size);
    this.coverMarks();
  }

  /** A change of volumes that was answered is durable, and so is what came before it. There is one administrator. */
  private coverMarks(): void {
    const mark = this.model.events.findLast((event) => event.kind === "mark");
    if (mark) this.model.covered(mark.lsn);
  }

  /** Runs one operation; an error that is explained ends it alone. */
  private async attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.answered++;
    } catch (error) {
      // Attached volumes, volumes that went away, and moments or ranges that another change made impossible.
      const rival =
        isSternwayError(error) && (error.kind === "conflict" || error.kind === "not_found" || error.kind === "invalid");
      const isFault = this.options.mayFail?.(error) === true;
      if (!rival && !isFault) throw error;
      if (isFault) {
        this.refused++;
        // Nobody knows how much of it came to pass.
        this.known.clear();
        await this.sim.clock.sleep(5);
      }
    }
  }

  private expected(strand: number, at: number, offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    const first = Math.floor(offset / BLOCK);
    const last = Math.floor((offset + length - 1) / BLOCK);
    for (let block = first; block <= last; block++) {
      const bytes = this.model.block(strand, at, block);
      const from = Math.max(offset, block * BLOCK);
      const to = Math.min(offset + length, (block + 1) * BLOCK);
      out.set(bytes.subarray(from - block * BLOCK, to - block * BLOCK), from - offset);
    }
    return out;
  }

  /** A free range on the grid of sectors, mostly of whole blocks. @param wanted - its length, 0 for some */
  private range(volume: ModelVolume, device: WritableDevice, wanted: number): Busy | undefined {
    const isWhole = this.random.below(3) > 0;
    const grid = isWhole ? BLOCK : SECTOR;
    const some = isWhole ? 1 + this.random.below(this.random.below(4) === 0 ? 24 : 3) : 1 + this.random.below(20);
    const length = Math.min(wanted > 0 ? wanted : some * grid, device.sizeBytes);
    const offset = Math.floor(this.near(device.sizeBytes, length) / grid) * grid;
    const range = { volume: volume.id, start: offset, end: Math.min(device.sizeBytes, offset + length), rivals: [] };
    return range.end > range.start ? range : undefined;
  }

  /** Offsets crowd at the start, the end, and the borders of chunks and shards, where entries of several levels meet. */
  private near(size: number, length: number): number {
    const anchors = [0, 0, 0, size - length, MIB, 2 ** 30, 2 ** 31];
    const anchor = anchors[this.random.below(anchors.length)]!;
    const offset = anchor + SECTOR * (this.random.below(512) - (anchor === 0 ? 0 : 256));
    return Math.floor(Math.max(0, Math.min(offset, size - length)) / SECTOR) * SECTOR;
  }

  private isBusy(volume: number, start: number, end: number): boolean {
    for (const range of this.busy) if (range.volume === volume && range.start < end && start < range.end) return true;
    return false;
  }

  private knownOf(volume: ModelVolume): Map<number, Uint8Array> {
    let known = this.known.get(volume.id);
    if (!known) this.known.set(volume.id, (known = new Map()));
    return known;
  }

  private forget(known: Map<number, Uint8Array>, { start, end }: Busy): void {
    for (const sector of known.keys()) if (sector >= start && sector < end) known.delete(sector);
  }

  private disturb(volume: number): void {
    this.known.get(volume)?.clear();
    this.upheavals.set(volume, (this.upheavals.get(volume) ?? 0) + 1);
  }

  /** Bytes of a write: block by block unique, repeated, zero or incompressible. */
  private content(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const part = Math.min(BLOCK - ((offset + at) % BLOCK), length - at);
      const into = bytes.subarray(at, at + part);
      const dice = this.random.below(10);
      if (dice < 2) fill(into, 1 + this.random.below(12));
      else if (dice < 3) scramble(into, this.random.below(2 ** 31));
      else if (dice < 9) fill(into, 1000 + this.serial++);
      at += part;
    }
    return bytes;
  }
}

function fill(into: Uint8Array, word: number): void {
  for (let i = 0; i < into.length; i++) into[i] = (word >>> ((i & 3) * 8)) & 0xff;
}

function scramble(into: Uint8Array, seed: number): void {
  let state = seed | 1;
  for (let i = 0; i < into.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    into[i] = state;
  }
}

/** Thrown where the vault contradicts the model: never explained by a fault. */
export class LawBroken extends Error {}

export function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  throw new LawBroken(
    `wrong bytes: ${what}: byte ${at} of ${actual.length} is ${actual[at]}, not ${expected[at]} (${wordAt(actual, at)} and ${wordAt(expected, at)})`,
  );
}

const wordAt = (bytes: Uint8Array, at: number): string =>
  Buffer.from(bytes.subarray(at - (at % 4), at - (at % 4) + 4)).toString("hex");

/** What the tests of the journal share: one journal on a simulated disk. */
import { expect } from "bun:test";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { lsn, micros } from "../../../src/base/units.ts";
import { ENTRY_WRITE, PAGE_SIZE } from "../../../src/journal/format.ts";
import { Journal, type ClosedFile, type JournalListener, type JournalOptions } from "../../../src/journal/journal.ts";
import { recover, type Recovered } from "../../../src/journal/recover.ts";
import type { JournalEntry } from "../../../src/journal/format.ts";
import { SlotPool } from "../../../src/journal/slots.ts";
import { SEED, VAULT_ID } from "./groups.ts";

const FILE_BYTES = 512 * 1024;

const NOTHING: Recovered = {
  files: [],
  lastGroupSequence: 0,
  lastGroupChecksum: 0n,
  lastFileSequence: 0,
  damage: undefined,
};

/** Keeps what the vault would be told. */
class Told implements JournalListener {
  opened: number[] = [];
  groups: { fileSequence: number; firstLsn: number; lastLsn: number; wall: number }[] = [];
  closed: ClosedFile[] = [];
  moved: { from: number; to: number; ordinals: Map<number, number>; fromLsn: number }[] = [];
  fileOpened(fileSequence: number): void {
    this.opened.push(fileSequence);
  }
  groupClosed(group: (typeof this.groups)[number]): void {
    this.groups.push(group);
  }
  fileClosed(file: ClosedFile): void {
    this.closed.push(file);
  }
  relocated(from: number, to: number, ordinals: Map<number, number>, fromLsn: number): void {
    this.moved.push({ from, to, ordinals, fromLsn });
  }
}

export interface Story {
  sim: Simulation;
  disk: SimulatedDisk;
  journal: Journal;
  told: Told;
  /** Writes pages of one value and paces. @returns the LSN and where it lies; undefined: no room */
  write(value: number, pages?: number): { lsn: number; fileSequence: number; location: number } | undefined;
  /** What recovery finds on this disk after a power cut now. */
  afterPowerCut(): Promise<{ entries: JournalEntry[]; result: Recovered }>;
}

/** Runs a story on one journal in a new simulated world; at its end everything must be closed. */
export function inWorld(
  seed: number,
  story: (story: Story) => Promise<void>,
  changes: Partial<JournalOptions> = {},
): Promise<void> {
  const sim = new Simulation(seed);
  const disk = new SimulatedDisk(sim);
  const told = new Told();
  return sim.run(async () => {
    await disk.mkdir("/journal");
    await disk.syncDir("/");
    const options: JournalOptions = {
      disk,
      clock: sim.clock,
      dir: "/journal",
      vaultId: VAULT_ID,
      seed: SEED,
      epoch: 1,
      fileBytes: FILE_BYTES,
      filesMax: 3,
      groupPages: 16,
      eagerPages: 4,
      lingerMs: 5,
      listener: told,
      ...changes,
    };
    const pool = await SlotPool.open({ ...options, reserveBytes: 0 }, []);
    const journal = new Journal(options, pool, NOTHING, lsn(1), micros(0));
    const write: Story["write"] = (value, pages = 1) => {
      if (!journal.append(ENTRY_WRITE, 1, value, pages, new Uint8Array(pages * PAGE_SIZE).fill(value)))
        return undefined;
      const { lsn: at, fileSequence, location } = journal.placed;
      journal.pace();
      return { lsn: at, fileSequence, location };
    };
    const afterPowerCut: Story["afterPowerCut"] = async () => {
      const next = new Simulation(sim.random.below(2 ** 31));
      const crashed = disk.crashed(next);
      const entries: JournalEntry[] = [];
      const result = await sim.outside(
        next.run(async () => {
          const slots = await SlotPool.list({ ...options, disk: crashed, reserveBytes: 0 });
          const identity = { vaultId: VAULT_ID, seed: SEED, dir: "/journal", fileBytes: FILE_BYTES };
          const sealed = { sealedFileSequence: 0, sealedGroupSequence: 0, sealedGroupChecksum: 0n };
          return await recover(
            { disk: crashed, slots, ...identity, ...sealed, cleanGroupSequence: undefined },
            (group) => entries.push(...group.entries),
          );
        }),
      );
      return { entries, result };
    };
    await story({ sim, disk, journal, told, write, afterPowerCut });
    await journal.stop();
    await journal.closeFiles();
    expect(disk.openFileCount).toBe(0);
  });
}

/**
 * The check of packs: each against the manifest and against itself. What it finds is kept as suspects until the layers have been
 * walked for the entries that point there, so that a finding can name volumes, blocks and LSNs.
 */
import { errorText } from "../../base/errors.ts";
import { checkFile } from "./check-files.ts";
import {
  isDamage,
  Touched,
  type CheckFinding,
  type CheckRun,
  type CheckStep,
  type FindingKind,
} from "./check-report.ts";
import type { PackRecord } from "../manifest.ts";
import { packOf, SLOTS_PER_PACK, slotOf } from "../map.ts";
import { FINGERPRINT_FREED, packPath } from "../packs/pack-format.ts";
import type { PackDirectory } from "../packs/pack-reader.ts";

/** Suspects that are traced; further ones are told without what they touch. 32 KiB of memory each, at most. */
const SUSPECTS_MAX = 1_000;

interface Suspect {
  kind: FindingKind;
  subject: string;
  message: string;
  facts: CheckFinding["facts"];
  touched: Touched;
  /** Freed slots are as they should be unless the map still points there. */
  onlyIfTouched: boolean;
}

/** Damaged slots, and who points to them. */
export class Suspects {
  readonly #all: Suspect[] = [];
  /** By pack: for each slot the ordinal of its suspect + 1; 0: none. */
  readonly #slots = new Map<number, Uint16Array>();
  readonly #untraced: Suspect[] = [];
  /** By pack: slots that an entry was found to point to. */
  readonly #referred = new Map<number, Set<number>>();
  /** False once a part of the map could not be read: entries may be missing from what was traced. */
  isWhole = true;

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** @param slots - undefined: all of the pack */
  add(pack: number, slots: readonly number[] | undefined, suspect: Suspect): void {
    if (this.#all.length === SUSPECTS_MAX) {
      if (!suspect.onlyIfTouched && this.#untraced.length < SUSPECTS_MAX) this.#untraced.push(suspect);
      return;
    }
    this.#all.push(suspect);
    let known = this.#slots.get(pack);
    if (!known) this.#slots.set(pack, (known = new Uint16Array(SLOTS_PER_PACK)));
    if (!slots) known.fill(this.#all.length);
    else for (const slot of slots) known[slot] = this.#all.length;
  }

  /** The suspect that holds a target, if any. */
  of(target: number): Suspect | undefined {
    const ordinal = this.#slots.get(packOf(target))?.[slotOf(target)] ?? 0;
    return ordinal === 0 ? undefined : this.#all[ordinal - 1];
  }

  /** Notes an entry of the map. */
  trace(target: number, strand: number, block: number, lsn: number): void {
    const suspect = this.of(target);
    if (!suspect) return;
    suspect.touched.add(strand, block, 1, lsn);
    let slots = this.#referred.get(packOf(target));
    if (!slots) this.#referred.set(packOf(target), (slots = new Set<number>()));
    slots.add(slotOf(target));
  }

  /** After the layers were walked: the slots of a pack that the map refers to; undefined when that is not certain. */
  referred(pack: number): ReadonlySet<number> | undefined {
    if (!this.isWhole) return undefined;
    return this.#referred.get(pack) ?? new Set<number>();
  }

  *findings(run: CheckRun): Generator<CheckFinding> {
    for (const { kind, subject, message, facts, touched, onlyIfTouched } of [...this.#all, ...this.#untraced]) {
      if (!onlyIfTouched || !touched.isEmpty) yield run.finding(kind, subject, message, facts, touched);
    }
  }
}

/** @param wanted - packs to look at; undefined: all */
export async function* checkPacks(
  run: CheckRun,
  wanted: ReadonlySet<number> | undefined,
  suspects: Suspects,
): AsyncGenerator<CheckStep> {
  const { sealing, parts } = run.vault;
  const records = sealing.manifest.packs.filter((record) => wanted?.has(record.pack) ?? true);
  for (const [done, record] of records.entries()) {
    yield { line: "progress", what: "packs", done, total: records.length };
    run.objects++;
    const { pack } = record;
    const found = await damageOf(run, record);
    if (found.length === 0) continue;
    // Repacked or let go while we looked: the file that counts now is another one.
    if (sealing.locate(pack)?.generation !== record.generation) continue;
    for (const { slots, ...suspect } of found) {
      const file = `${parts.dir}/${packPath(pack, record.generation)}`;
      suspects.add(pack, slots, {
        kind: suspect.kind,
        subject: `pack ${pack}`,
        message: suspect.message,
        facts: { file, pack, generation: record.generation, ...suspect.facts },
        touched: new Touched(),
        onlyIfTouched: suspect.onlyIfTouched ?? false,
      });
    }
  }
}

interface Found {
  kind: FindingKind;
  message: string;
  facts?: CheckFinding["facts"];
  /** Undefined: all of the pack. */
  slots?: number[];
  onlyIfTouched?: boolean;
}

async function damageOf(run: CheckRun, record: PackRecord): Promise<Found[]> {
  const { packs, dir } = run.vault.parts;
  const path = `${dir}/${packPath(record.pack, record.generation)}`;
  const whole = await checkFile(run, path, record.sizeBytes, record.checksum, true);
  if (whole) return [whole];
  let directory: PackDirectory | undefined;
  let damage: Found | undefined;
  try {
    directory = await packs.directory(record.pack);
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage = { kind: "pack-damaged", message: errorText(error), facts: { ...error.facts } };
  }
  const found: Found[] = [];
  if (directory && directory.frames.slotCount !== record.slots) {
    const message = `pack ${record.pack} has ${directory.frames.slotCount} slots, the manifest says ${record.slots}`;
    found.push({ kind: "pack-damaged", message });
  }
  if (run.options.quick !== true) {
    // Past the caches, frame by frame; after it the file as a whole, which ties it to this manifest.
    for (const { frame, slots, why } of await packs.verify(record.pack)) {
      const offset = frame < 0 ? undefined : directory?.frames.offset[frame];
      const place = frame < 0 ? "" : `, frame ${frame}${offset === undefined ? "" : ` at byte ${offset}`}`;
      found.push({
        kind: "pack-damaged",
        message: `pack ${record.pack}${place}: ${why}`,
        facts: { frame, ...(offset === undefined ? {} : { offset }) },
        ...(frame < 0 ? {} : { slots }),
      });
    }
    run.bytes += record.sizeBytes;
    if (found.length === 0 && !damage) {
      const other = await checkFile(run, path, record.sizeBytes, record.checksum, false);
      if (other) found.push(other);
    }
  }
  if (found.length === 0 && damage) found.push(damage);
  const freed = freedSlots(directory);
  if (freed.length > 0) {
    const message = `pack ${record.pack}: the map points to slots that were freed`;
    found.push({ kind: "target-unknown", message, slots: freed, onlyIfTouched: true });
  }
  return found;
}

function freedSlots(directory: PackDirectory | undefined): number[] {
  const freed: number[] = [];
  directory?.fingerprints.forEach((print, slot) => {
    if (print === FINGERPRINT_FREED) freed.push(slot);
  });
  return freed;
}

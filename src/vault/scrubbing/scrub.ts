/**
 * The scrub: reads everything that a vault holds, one object per step, so that damage is found while a copy to repair it from may still
 * exist. A cycle goes through the packs, newest first (what was written last is what people restore most), then the layers and the
 * chronicles; at its end, what is still lost is looked for in the directories of all packs.
 *
 * A damaged slot is quarantined before anything else is done: the manifest names it durably, then the sealer shares it with nothing new.
 * After that the layers are walked for what points there, so that the finding names volumes, blocks and LSNs, and so that what nothing points
 * to is known; no entry can join meanwhile. Then the pack is repaired as far as possible (repair.ts).
 *
 * Between two steps nothing is held. The cursor is durable after each (scrub-state.ts); losing it restarts the cycle. Pacing is the
 * caller's: {@link Scrub.dueIn} says when the next step is due for the cycle to end in time.
 */
import { assert } from "../../base/assert.ts";
import { SternwayError } from "../../base/errors.ts";
import { checkChronicle } from "../checking/check-chronicles.ts";
import { checkLayer, traceSuspects } from "../checking/check-layers.ts";
import { Suspects } from "../checking/check-packs.ts";
import { CheckRun, Touched, type CheckFinding, type CheckStep } from "../checking/check-report.ts";
import type { PackRecord } from "../manifest.ts";
import { packPath } from "../packs/pack-format.ts";
import type { PackDamage } from "../packs/pack-verify.ts";
import { Quarantine, slotRanges } from "../packs/quarantine.ts";
import { localSources, repairPack, withQuarantine, type FindCopy, type RepairReport } from "./repair.ts";
import { missingPack, restoreWholePack } from "./whole-copy.ts";
import type { WantedSlot } from "./repair-pack.ts";
import { loadScrubState, saveScrubState, SCRUB_PARTS, type ScrubPart, type ScrubState } from "./scrub-state.ts";
import { sealedChronicle, sealedLayer } from "../sealed-files.ts";
import type { Vault } from "../vault.ts";

export type { CheckFinding } from "../checking/check-report.ts";
export type { RepairReport } from "./repair.ts";
export type { ScrubTotals } from "./scrub-state.ts";

/** Damaged frames of one pack that are told apart; the rest is told together. */
const FRAMES_TOLD_MAX = 200;
/** Directories that one search request goes through: some 50 ms of the sealer's time. */
const SEARCH_PACKS = 32;
/** Lost blocks that one search looks for: bounds what it may bring back to 16 MiB. */
const SEARCH_WANTED_MAX = 4096;

/** One damaged place, and whether it was known before. */
export interface ScrubFinding {
  finding: CheckFinding;
  isKnown: boolean;
}

/** What one step looked at. */
export interface ScrubStep {
  /** `pack 7`, `layer 3`; `cycle 2` for the step that ends one. */
  subject: string;
  sizeBytes: number;
  findings: ScrubFinding[];
  /** Repairs that were tried. */
  repairs: { pack: number; report: RepairReport }[];
  /** Layers and chronicles that were damaged and are whole again, from another place. */
  restored: string[];
  /** The cycle has come to its end; the next step begins another one. */
  endsCycle: boolean;
}

export interface ScrubStatus {
  cycle: number;
  startedAt: number;
  part: ScrubPart;
  objects: number;
  bytes: number;
  /** Of the objects that this cycle has still to look at. */
  bytesLeft: number;
  findings: number;
  restored: number;
  /** Slots in quarantine now. */
  quarantined: number;
  last: ScrubState["last"];
}

/** An object of the cycle. */
interface Target {
  part: ScrubPart;
  id: number;
  sizeBytes: number;
}

export class Scrub {
  private readonly vault: Vault;
  private readonly sources: Record<string, FindCopy>;
  private state: ScrubState;
  private isStepping = false;

  /** @param sources - where copies may be; later sources are asked for what earlier ones do not have */
  static async open(vault: Vault, sources = localSources(vault)): Promise<Scrub> {
    const { disk, dir } = vault.parts;
    const state = await loadScrubState(disk, dir);
    return new Scrub(vault, sources, state);
  }

  private constructor(vault: Vault, sources: Record<string, FindCopy>, state: ScrubState | undefined) {
    this.vault = vault;
    this.sources = sources;
    this.state = state ?? this.newCycle(undefined);
  }

  /** Begins a cycle anew; the next step looks at the newest pack. */
  restart(): void {
    const { last } = this.state;
    this.state = { ...this.newCycle(this.state), ...(last && { last }) };
  }

  status(): ScrubStatus {
    const { cycle, startedAt, part, objects, bytes, findings, restored, last } = this.state;
    const held = this.vault.sealing.manifest.quarantine ?? [];
    const quarantined = held.reduce((sum, { slots }) => sum + slots.reduce((all, { count }) => all + count, 0), 0);
    const bytesLeft = this.targets().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { cycle, startedAt, part, objects, bytes, bytesLeft, findings, restored, quarantined, last };
  }

  /**
   * Milliseconds until the next step is due, so that the cycle ends on time and its reads are spread evenly over it; 0: now.
   * @param cycleMicros - how long a cycle is to take
   */
  dueIn(cycleMicros: number): number {
    const { bytes, startedAt } = this.state;
    const { bytesLeft } = this.status();
    const now = this.vault.parts.clock.wall();
    // A clock that was set back must not stop the scrub for as long.
    const elapsed = Math.min(Math.max(0, now - startedAt), cycleMicros);
    // With nothing left the cycle still takes its time, or an empty vault's cycles would follow one another without end.
    const share = bytesLeft === 0 ? 1 : bytes / (bytes + bytesLeft);
    return Math.max(0, Math.ceil((share * cycleMicros - elapsed) / 1000));
  }

  /**
   * Looks at the next object. One step at a time.
   * @throws unavailable: the disk failed in a way that says nothing about the object, or the vault stops; the step may be repeated
   */
  async step(): Promise<ScrubStep> {
    assert(!this.isStepping, "the scrub takes one step at a time");
    this.isStepping = true;
    try {
      const target = this.targets()[0];
      const step = target ? await this.look(target) : await this.endCycle();
      const { disk, dir } = this.vault.parts;
      await saveScrubState(disk, dir, this.state);
      return step;
    } finally {
      this.isStepping = false;
    }
  }

  private newCycle(before: ScrubState | undefined): ScrubState {
    return {
      format: 1,
      cycle: (before?.cycle ?? 0) + 1,
      startedAt: this.vault.parts.clock.wall(),
      part: "packs",
      below: Number.MAX_SAFE_INTEGER,
      objects: 0,
      bytes: 0,
      findings: 0,
      restored: 0,
    };
  }

  /** What the cycle has still to look at, in order. Objects that came after their part began are the next cycle's. */
  private targets(): Target[] {
    const { packs, layers, chronicles } = this.vault.sealing.manifest;
    const lists = {
      packs: packs.map(({ pack, sizeBytes }) => ({ id: pack, sizeBytes })),
      layers,
      chronicles,
      searching: [],
    };
    const now = SCRUB_PARTS.indexOf(this.state.part);
    return SCRUB_PARTS.slice(now).flatMap((part) =>
      lists[part]
        .filter(({ id }) => part !== this.state.part || id < this.state.below)
        .map(({ id, sizeBytes }) => ({ part, id, sizeBytes }))
        .sort((a, b) => b.id - a.id),
    );
  }

  private async look({ part, id, sizeBytes }: Target): Promise<ScrubStep> {
    const step: ScrubStep = { subject: "", sizeBytes, findings: [], repairs: [], restored: [], endsCycle: false };
    switch (part) {
      case "packs":
        step.subject = `pack ${id}`;
        await this.lookAtPack(this.vault.sealing.locate(id)!, step);
        break;
      case "layers":
        step.subject = `layer ${id}`;
        await this.lookAtLayer(id, step);
        break;
      case "chronicles":
        step.subject = `chronicle ${id}`;
        await this.lookAtChronicle(id, step);
        break;
      case "searching":
        break;
    }
    this.state = {
      ...this.state,
      part,
      below: id,
      objects: this.state.objects + 1,
      bytes: this.state.bytes + sizeBytes,
    };
    this.count(step);
    return step;
  }

  private count(step: ScrubStep): void {
    this.state.findings += step.findings.length;
    for (const { report } of step.repairs) {
      for (const count of Object.values(report.restored)) this.state.restored += count;
    }
  }

  private async lookAtPack(record: PackRecord, step: ScrubStep): Promise<void> {
    const { sealing } = this.vault;
    const damages = await sealing.runner.run({ kind: "verify", record });
    if (damages.length === 0) damages.push(...(await missingPack(this.vault, record)));
    // Collected or written anew while we read: the file that counts now is another one.
    if (damages.length === 0 || sealing.locate(record.pack)?.generation !== record.generation) return;
    const known = new Quarantine(sealing.manifest.quarantine);
    const damaged = [...new Set(damages.flatMap(({ slots }) => slots))].sort((a, b) => a - b);
    const isNews = (slots: readonly number[]): boolean =>
      slots.length === 0 || slots.some((slot) => !known.knows(record.pack, record.generation, slot));
    const isWholeAgain = await restoreWholePack(this.vault, record);
    if (!isWholeAgain) await this.quarantine(record, damages, damaged);

    const suspects = new Suspects();
    const groups = damages.length <= FRAMES_TOLD_MAX ? damages : together(damages);
    for (const { frame, slots, why } of groups) this.suspect(suspects, record, frame, slots, why);
    const run = new CheckRun(this.vault, {});
    if (!isWholeAgain) await this.trace(run, suspects);
    // The suspects' order is that of the groups.
    let ordinal = 0;
    for (const finding of suspects.findings(run)) {
      step.findings.push({ finding, isKnown: !isNews(groups[ordinal++]?.slots ?? []) });
    }
    if (isWholeAgain) {
      const blocks = damages.some(({ slots }) => slots.length === 0) ? record.slots : damaged.length;
      step.repairs.push({ pack: record.pack, report: { restored: { tier: blocks }, freed: 0, lost: 0 } });
      return;
    }
    const referred = suspects.referred(record.pack);
    step.repairs.push({
      pack: record.pack,
      report: await repairPack(this.vault, { record, damaged, referred, sources: this.sources }),
    });
  }

  private suspect(suspects: Suspects, record: PackRecord, frame: number, slots: number[], why: string): void {
    const { pack, generation } = record;
    const file = `${this.vault.parts.dir}/${packPath(pack, generation)}`;
    const place = frame < 0 ? "" : `, frame ${frame}`;
    suspects.add(pack, frame < 0 && slots.length === 0 ? undefined : slots, {
      kind: "pack-damaged",
      subject: `pack ${pack}`,
      message: `pack ${pack}${place}: ${why}`,
      facts: { file, pack, generation, frame, slots: slots.length },
      touched: new Touched(),
      onlyIfTouched: false,
    });
  }

  /** Durable and known to the sealer when it resolves. Damage that concerns the file as a whole holds all of its slots. */
  private async quarantine(
    record: PackRecord,
    damages: readonly PackDamage[],
    damaged: readonly number[],
  ): Promise<void> {
    const { sealing } = this.vault;
    const isWhole = damages.some(({ slots }) => slots.length === 0);
    const { pack, generation } = record;
    await sealing.perform(async () => {
      if (sealing.locate(pack)?.generation !== generation) return undefined;
      // What was held stays held, however well it reads now.
      const before = (sealing.manifest.quarantine ?? []).filter((known) => known.pack === pack);
      const all = new Quarantine(before.filter((known) => known.generation === generation));
      all.add({ pack, generation, slots: isWhole ? [{ first: 0, count: record.slots }] : slotRanges(damaged) });
      const slots = slotRanges(all.slotsOf(pack));
      const held = { pack, generation, slots };
      // The sealer first: what it shares from here on is sound, and the manifest then says so for good.
      await sealing.runner.run({ kind: "quarantine", record: held });
      return { changes: { quarantine: withQuarantine(sealing.manifest, held) } };
    });
  }

  /** Walks the layers, which stay while they are read. */
  private async trace(run: CheckRun, suspects: Suspects): Promise<void> {
    const { versions } = this.vault.sealing;
    const version = versions.acquire();
    try {
      // Its lines of progress are for people who wait; nobody does.
      await drain(traceSuspects(run, suspects));
    } finally {
      versions.release(version);
    }
  }

  private async lookAtLayer(id: number, step: ScrubStep): Promise<void> {
    const record = this.vault.sealing.manifest.layers.find((layer) => layer.id === id)!;
    await this.collect(checkLayer(new CheckRun(this.vault, {}), record, new Set()), step);
    // Those who read it next find the sound one.
    if (step.findings.length > 0 && (await this.vault.restorer.restore(sealedLayer(record))))
      step.restored.push(step.subject);
  }

  private async lookAtChronicle(id: number, step: ScrubStep): Promise<void> {
    const { chronicles, layers } = this.vault.sealing.manifest;
    const lastDelta = layers.findLast((layer) => layer.kind === "delta")?.lastLsn ?? 0;
    const record = chronicles.find((chronicle) => chronicle.id === id)!;
    await this.collect(checkChronicle(new CheckRun(this.vault, {}), record, lastDelta), step);
    if (step.findings.length > 0 && (await this.vault.restorer.restore(sealedChronicle(record))))
      step.restored.push(step.subject);
  }

  private async collect(steps: AsyncGenerator<CheckStep>, step: ScrubStep): Promise<void> {
    for await (const line of steps) if (line.line === "finding") step.findings.push({ finding: line, isKnown: false });
  }

  private async endCycle(): Promise<ScrubStep> {
    const { cycle, startedAt } = this.state;
    const step: ScrubStep = {
      subject: `cycle ${cycle}`,
      sizeBytes: 0,
      findings: [],
      repairs: [],
      restored: [],
      endsCycle: true,
    };
    this.state = { ...this.state, part: "searching", below: 0 };
    await this.repairHeld(step, { ...this.sources, packs: await this.searched() });
    this.count(step);
    const { objects, bytes, findings, restored } = this.state;
    const last = { objects, bytes, findings, restored, startedAt, endedAt: this.vault.parts.clock.wall() };
    this.state = { ...this.newCycle(this.state), last };
    return step;
  }

  /**
   * Tries again to bring back what is in quarantine, from where an equal block may have come to lie meanwhile. Cheap when nothing is.
   * @throws unavailable
   */
  async retryRepairs(): Promise<{ pack: number; report: RepairReport }[]> {
    const step: ScrubStep = { subject: "", sizeBytes: 0, findings: [], repairs: [], restored: [], endsCycle: false };
    await this.repairHeld(step, this.sources);
    this.count(step);
    return step.repairs;
  }

  private async repairHeld(step: ScrubStep, sources: Record<string, FindCopy>): Promise<void> {
    const { sealing } = this.vault;
    const held = new Quarantine(sealing.manifest.quarantine);
    for (const { pack, generation } of sealing.manifest.quarantine ?? []) {
      const record = sealing.locate(pack);
      if (record?.generation !== generation) continue;
      const damaged = held.slotsOf(pack);
      if (await restoreWholePack(this.vault, record)) {
        step.repairs.push({ pack, report: { restored: { tier: damaged.length }, freed: 0, lost: 0 } });
        continue;
      }
      const report = await repairPack(this.vault, { record, damaged, referred: undefined, sources });
      step.repairs.push({ pack, report });
    }
  }

  /** Goes through all directories once for all lost blocks. @returns a source that answers with what it found */
  private async searched(): Promise<FindCopy> {
    const { sealing, parts } = this.vault;
    const wanted: WantedSlot[] = [];
    for (const { pack, slots } of sealing.manifest.quarantine ?? []) {
      const directory = await parts.packs.directory(pack).catch(onlyDamage);
      if (!directory) continue;
      for (const { first, count } of slots) {
        for (let slot = first; slot < first + count && wanted.length < SEARCH_WANTED_MAX; slot++) {
          const print = directory.fingerprints[slot];
          // By ordinal, since slots of several packs are looked for at once.
          if (print !== undefined) wanted.push({ slot: wanted.length, print });
        }
      }
    }
    const found = new Map<bigint, Uint8Array>();
    const { packs } = sealing.manifest;
    for (let start = 0; start < packs.length && found.size < wanted.length; start += SEARCH_PACKS) {
      const among = packs.slice(start, start + SEARCH_PACKS);
      const blocks = await sealing.runner.run({
        kind: "find-copies",
        record: among[0]!,
        wanted,
        where: "packs",
        among,
      });
      for (const { slot, bytes } of blocks) found.set(wanted[slot]!.print, bytes);
    }
    return (_record, asked) =>
      Promise.resolve(
        asked.flatMap(({ slot, print }) => {
          const bytes = found.get(print);
          return bytes ? [{ slot, bytes }] : [];
        }),
      );
  }
}

/** All damage of a pack as one place. */
function together(damages: readonly PackDamage[]): PackDamage[] {
  const first = damages[0]!;
  const slots = [...new Set(damages.flatMap((damage) => damage.slots))].sort((a, b) => a - b);
  return [{ pack: first.pack, frame: -1, slots, why: `${damages.length} damaged frames, the first: ${first.why}` }];
}

function onlyDamage(error: unknown): undefined {
  if (error instanceof SternwayError && (error.kind === "corrupt" || error.facts["code"] === "EIO")) return undefined;
  throw error;
}

async function drain(steps: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of steps);
}

/**
 * What a check says, and what its parts share: the running totals, the names of volumes by strand, and how damaged places become
 * volumes, block ranges and LSNs.
 */
import { isSternwayError, type SternwayError } from "../../base/errors.ts";
import { lsn, strandId, type Lsn } from "../../base/units.ts";
import type { Vault } from "../vault.ts";

/**
 * - `manifest-…`: a kept manifest is damaged, missing, or does not follow the one before it
 * - `file-…`: a file that the manifest names is missing, or has another size or checksum
 * - `pack-damaged`: a frame, the directory, or the whole of a pack
 * - `layer-damaged`, `chronicle-damaged`: a page, the index, or the whole
 * - `layers-gap`, `chronicles-gap`: LSNs that no layer, or no chronicle, speaks for
 * - `target-unknown`: the map points to a block that no pack holds
 * - `journal-damaged`: an unsealed group
 * - `registry`: volumes and strands that contradict one another
 * - `volume-unreadable`: blocks of a volume at a moment that people can name
 */
export type FindingKind =
  | "manifest-damaged"
  | "manifest-missing"
  | "manifest-chain"
  | "file-missing"
  | "file-size"
  | "file-checksum"
  | "pack-damaged"
  | "layer-damaged"
  | "chronicle-damaged"
  | "layers-gap"
  | "chronicles-gap"
  | "target-unknown"
  | "journal-damaged"
  | "registry"
  | "volume-unreadable";

/** Blocks of one strand that a damaged place concerns. */
export interface Touch {
  strand: number;
  /** Volumes whose history goes through it, branches included. */
  volumes: string[];
  /** Sorted and merged; the last one may be wider than the damage when there were too many. */
  ranges: { firstBlock: number; count: number }[];
  /** LSNs of the oldest and the newest write that lies there: moments from the first on are concerned. */
  firstLsn: Lsn;
  lastLsn: Lsn;
}

/** One damaged place. */
export interface CheckFinding {
  line: "finding";
  kind: FindingKind;
  /** `damage`: bytes or moments are lost, unless another copy has them; `warning`: nothing is. */
  severity: "damage" | "warning";
  /** The object: `pack 7`, `layer 12`, `journal file 0003.journal`, `volume web1`. */
  subject: string;
  message: string;
  /** The place for programs: kind, file, offset, frame, page, and what it touches as text. */
  facts: Record<string, string | number | boolean>;
  touches: Touch[];
}

export interface CheckProgress {
  line: "progress";
  what: string;
  done: number;
  total: number;
}

/** The last line of a check that came to its end. */
export interface CheckEnd {
  line: "end";
  findings: number;
  /** Manifests, packs, layers, chronicles, journal files and moments of volumes looked at. */
  objects: number;
  /** Bytes read for it. */
  bytes: number;
  micros: number;
}

export type CheckStep = CheckFinding | CheckProgress | CheckEnd;

export interface CheckOptions {
  /** Metadata only: every manifest, layer, chronicle and pack directory; no block is read. */
  quick?: boolean;
  /** Also reads every block of volumes now and at their bookmarks by the way that clients take. */
  deep?: boolean;
  /** Only what this volume needs. @throws not_found when there is none of this name */
  volume?: string;
  /** Ends the check early, without the line `end`. */
  signal?: AbortSignal;
}

/** Ranges that are told of one strand in one finding; further ones widen the last. */
const RANGES_MAX = 32;

/** Collects what a damaged place touches. Memory: {@link RANGES_MAX} ranges for each strand. */
export class Touched {
  readonly #strands = new Map<number, { start: number; end: number; first: number; last: number }[]>();

  get isEmpty(): boolean {
    return this.#strands.size === 0;
  }

  add(strand: number, firstBlock: number, count: number, firstLsn: number, lastLsn = firstLsn): void {
    let ranges = this.#strands.get(strand);
    if (!ranges) this.#strands.set(strand, (ranges = []));
    const end = firstBlock + count;
    const last = ranges.at(-1);
    // Entries come in order of place, so that neighbours meet here.
    const joins = last !== undefined && firstBlock <= last.end && end >= last.start;
    if (last && (joins || ranges.length === RANGES_MAX)) {
      last.start = Math.min(last.start, firstBlock);
      last.end = Math.max(last.end, end);
      last.first = Math.min(last.first, firstLsn);
      last.last = Math.max(last.last, lastLsn);
      return;
    }
    ranges.push({ start: firstBlock, end, first: firstLsn, last: lastLsn });
  }

  /** @param namesOf - volumes that look through a strand at what was written at an LSN */
  touches(namesOf: (strand: number, firstLsn: number) => string[]): Touch[] {
    return [...this.#strands]
      .sort(([a], [b]) => a - b)
      .map(([strand, parts]) => {
        const ranges: Touch["ranges"] = [];
        for (const { start, end } of parts.toSorted((a, b) => a.start - b.start)) {
          const last = ranges.at(-1);
          if (last && start <= last.firstBlock + last.count) {
            last.count = Math.max(last.count, end - last.firstBlock);
          } else ranges.push({ firstBlock: start, count: end - start });
        }
        const firstLsn = Math.min(...parts.map((part) => part.first));
        const lastLsn = Math.max(...parts.map((part) => part.last));
        return { strand, volumes: namesOf(strand, firstLsn), ranges, firstLsn: lsn(firstLsn), lastLsn: lsn(lastLsn) };
      });
  }
}

/** One check under way. */
export class CheckRun {
  readonly vault: Vault;
  readonly options: CheckOptions;
  objects = 0;
  bytes = 0;
  /** Strands to look at; undefined: all. */
  readonly strands: ReadonlySet<number> | undefined;
  /** By strand: who looks through it, up to which LSN. */
  readonly #readers = new Map<number, Map<string, number>>();

  constructor(vault: Vault, options: CheckOptions) {
    this.vault = vault;
    this.options = options;
    const wanted = new Set<number>();
    for (const volume of vault.registry.toState().volumes) {
      const isWanted = volume.name === options.volume && volume.deletedLsn === undefined;
      const name = volume.deletedLsn === undefined ? volume.name : `${volume.name} (deleted)`;
      for (const { strand } of volume.strands) {
        for (const link of vault.registry.chain(strandId(strand), lsn(Number.MAX_SAFE_INTEGER))) {
          if (isWanted) wanted.add(link.strand);
          let readers = this.#readers.get(link.strand);
          if (!readers) this.#readers.set(link.strand, (readers = new Map<string, number>()));
          readers.set(name, Math.max(readers.get(name) ?? 0, link.lsn));
        }
      }
    }
    this.strands = options.volume === undefined ? undefined : wanted;
  }

  /** Volumes that see what was written to a strand at an LSN, in some moment of theirs. */
  readonly namesOf = (strand: number, at: number): string[] =>
    [...(this.#readers.get(strand) ?? [])].filter(([, limit]) => limit >= at).map(([name]) => name);

  finding(
    kind: FindingKind,
    subject: string,
    message: string,
    facts: CheckFinding["facts"] = {},
    touched: Touched = new Touched(),
  ): CheckFinding {
    const touches = touched.touches(this.namesOf);
    const all = {
      ...facts,
      kind,
      ...(touches.length === 0
        ? {}
        : {
            volumes: [...new Set(touches.flatMap((touch) => touch.volumes))].join(","),
            touches: touches.map(touchText).join("; "),
            firstLsn: Math.min(...touches.map((touch) => touch.firstLsn)),
            lastLsn: Math.max(...touches.map((touch) => touch.lastLsn)),
          }),
    };
    const concerns = touches.length === 0 ? "" : `; concerns ${touches.map(touchText).join("; ")}`;
    return {
      line: "finding",
      kind,
      severity: "damage",
      subject,
      message: `${message}${concerns}`,
      facts: all,
      touches,
    };
  }
}

/** `web1, web2: blocks 0-15, 32, written at LSNs 5 to 9`. */
function touchText({ strand, volumes, ranges, firstLsn, lastLsn }: Touch): string {
  const names = volumes.length === 0 ? `strand ${strand}` : volumes.join(", ");
  const blocks = ranges.map(({ firstBlock, count }) =>
    count === 1 ? `${firstBlock}` : `${firstBlock}-${firstBlock + count - 1}`,
  );
  const written = firstLsn === lastLsn ? `LSN ${firstLsn}` : `LSNs ${firstLsn} to ${lastLsn}`;
  return `${names}: blocks ${blocks.join(", ")}, written at ${written}`;
}

/** True for errors that say something about the stored bytes: a sector that cannot be read is as lost as one that reads wrong. */
export function isDamage(error: unknown): error is SternwayError {
  return (
    isSternwayError(error) && (error.kind === "corrupt" || error.kind === "not_found" || error.facts["code"] === "EIO")
  );
}

/** The error itself when it says something about the stored bytes. @throws it, otherwise */
export function onlyDamage(error: unknown): SternwayError {
  if (isDamage(error)) return error;
  throw error;
}

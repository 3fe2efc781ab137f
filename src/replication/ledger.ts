/**
 * `tiers.json` in the vault's folder: where else the vault is kept, and what this installation knows to have written there. It is published before
 * any write that it announces touches a tier, so that after a crash at any point a tier holds what the ledger says it held or what was intended; a tier
 * that holds neither is written to by somebody else.
 *
 *     line 1   XXH64 of the rest with seed 0, 16 hex digits
 *     rest     {@link LedgerState} as JSON
 *
 * Lost, the vault is whole and has no tiers; a tier that is added again is compared object by object. Damaged, nothing is written to any tier. Names no secret:
 * credentials are in files that it points to.
 */
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { hashText, xxh64 } from "../base/hash.ts";
import { checkBandwidth } from "../tiers/bandwidth.ts";
import { checkSchedule } from "../tiers/schedule.ts";
import { z } from "zod";

/** The newest manifest at a tier. */
export interface Revision {
  number: number;
  /** Of the manifest's file, as the file says. */
  sha256: string;
}

/** How often a reader asks its tier for something newer: some 20,000 small requests a day. */
export const FOLLOW_SECONDS = 30;
export const FOLLOW_SECONDS_MAX = 86_400;

const revision = z.object({ number: z.int().min(1), sha256: z.string() });
const claim = z.object({ sequence: z.int().min(1), nonce: z.string() });
const settings = z.object({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  url: z.string(),
  mode: z.enum(["sync", "continuous", "scheduled"]),
  schedule: z.string().optional(),
  rpoSeconds: z.number().min(0.1).max(86_400),
  bandwidth: z.string().optional(),
  backlogBytesMax: z.int().min(1).optional(),
  secretFile: z.string().optional(),
  caFile: z.string().optional(),
});
const tier = z.object({
  settings,
  old: revision.optional(),
  /** Up to where its content reached when `old` was put there, and when that was, wall microseconds: what it lacks is counted from there while it is away. */
  held: z.object({ lsn: z.int().min(0), at: z.number() }).optional(),
  /** What was about to be put there since `old` was; a put whose answer was lost may still be done long after. */
  intended: z.array(revision).max(64).optional(),
  /** What this installation claimed there last, and what it was about to claim. */
  claimed: claim.optional(),
  claiming: claim.optional(),
});
const state = z.object({
  format: z.literal(1),
  tiers: z.array(tier).max(8),
  /** Who this vault's writer is now, when it is another one: it takes no writes here any more. */
  overtaken: z.object({ tier: z.string(), by: z.string(), at: z.number() }).optional(),
  /** `reader`: opened from a tier to be read; `arriving`: its writer now, and not all files are here yet. Default: all is here. */
  role: z.enum(["reader", "arriving"]).optional(),
  /** Of a reader: how often it looks for something newer; 0: never by itself. Default {@link FOLLOW_SECONDS}. */
  followSeconds: z.number().min(0).max(FOLLOW_SECONDS_MAX).optional(),
});

export type TierSettings = z.infer<typeof settings>;
export type TierMode = TierSettings["mode"];
export type WriterClaim = z.infer<typeof claim>;
export type TierRecord = z.infer<typeof tier>;
export type LedgerState = z.infer<typeof state>;

export const TIERS_MAX = 8;
const INTENDED_MAX = 64;

/** Notes what is about to be put; to be made durable before it is. */
export const intending = (record: TierRecord, next: Revision): TierRecord => ({
  ...record,
  intended: [...(record.intended ?? []), next].slice(-INTENDED_MAX),
});

/** Notes what the tier holds now: nothing that was intended before can become the newest any more. */
export const holding = (
  { intended: _, ...record }: TierRecord,
  revision: Revision,
  held: NonNullable<TierRecord["held"]>,
): TierRecord => ({ ...record, old: revision, held });
const HEAD_LENGTH = 17;

export const ledgerPath = (dir: string): string => `${dir}/tiers.json`;
const checkOf = (json: string): string => hashText(xxh64(new TextEncoder().encode(json), 0n));

/** The ledger of one vault. Changes are made one after another; each is durable when its promise resolves. */
export class Ledger {
  private readonly disk: Disk;
  private readonly path: string;
  private current: LedgerState;
  private writing: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, path: string, current: LedgerState) {
    this.disk = disk;
    this.path = path;
    this.current = current;
  }

  /** @throws corrupt: it is damaged; unavailable */
  static async open(disk: Disk, dir: string): Promise<Ledger> {
    return new Ledger(disk, ledgerPath(dir), await read(disk, ledgerPath(dir)));
  }

  get state(): LedgerState {
    return this.current;
  }

  tier(name: string): TierRecord | undefined {
    return this.current.tiers.find(({ settings: { name: own } }) => own === name);
  }

  /** Durable when it resolves; the change is made to the state as it is when its turn comes. @throws unavailable: nothing has changed */
  async change(make: (before: LedgerState) => LedgerState): Promise<void> {
    const before = this.writing;
    const turn = Promise.withResolvers<void>();
    this.writing = turn.promise;
    await before;
    try {
      const next = make(this.current);
      const json = JSON.stringify(next, undefined, 2);
      await publish(this.disk, this.path, [new TextEncoder().encode(`${checkOf(json)}\n${json}`)]);
      this.current = next;
    } finally {
      // The next change has its turn whatever became of this one.
      turn.resolve();
    }
  }

  /** {@link change} of one tier's record; nothing, when that tier was removed meanwhile. */
  async changeTier(name: string, make: (before: TierRecord) => TierRecord): Promise<void> {
    await this.change((before) => ({
      ...before,
      tiers: before.tiers.map((record) => (record.settings.name === name ? make(record) : record)),
    }));
  }
}

async function read(disk: Disk, path: string): Promise<LedgerState> {
  let text: string;
  try {
    text = new TextDecoder().decode(await readWhole(disk, path));
  } catch (error) {
    if (isSternwayError(error, "not_found")) return { format: 1, tiers: [] };
    throw error;
  }
  const json = text.slice(HEAD_LENGTH);
  const damaged = (cause?: unknown): SternwayError =>
    new SternwayError(
      "corrupt",
      `${path} is damaged: remove it, and add the vault's tiers again; what is there is compared and kept`,
      { path },
      { cause },
    );
  if (text.slice(0, HEAD_LENGTH - 1) !== checkOf(json)) throw damaged();
  try {
    return state.parse(JSON.parse(json));
  } catch (cause) {
    throw damaged(cause);
  }
}

/** @throws invalid */
export function checkSettings({ mode, schedule, bandwidth }: TierSettings): void {
  if (mode === "scheduled") {
    if (schedule === undefined) throw new SternwayError("invalid", "a scheduled tier needs a schedule, such as daily");
    checkSchedule(schedule);
  } else if (schedule !== undefined) throw new SternwayError("invalid", `a ${mode} tier has no schedule`);
  if (bandwidth !== undefined) checkBandwidth(bandwidth);
}

/** What a vault's folder says of its tiers, while the vault is closed. @throws corrupt */
export async function readLedger(disk: Disk, dir: string): Promise<LedgerState> {
  return (await Ledger.open(disk, dir)).state;
}

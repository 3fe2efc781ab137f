/**
 * What is done on an alarm: the last moment before it is held, the alarm is kept, and people are told what happened and what to do. The hold comes first: whatever
 * fails after it, that moment stays.
 */
import { errorText, isSternwayError } from "../base/errors.ts";
import { BLOCK_SIZE, formatSize, formatTime, lsn, micros, type Micros } from "../base/units.ts";
import type { Catalog, CatalogEvent, SignalVolume } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Suspicion } from "./detector.ts";

/** Holds that alarms make begin so. */
const HOLD_PREFIX = "before-suspicion-";
/** Of one volume. Each keeps a whole state until somebody releases it: an attack that is noticed ever again must not fill the disk with them. */
const HOLDS_MAX = 4;

export interface AlarmParts {
  catalog: Pick<Catalog, "signals">;
  log: Log;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
  volumes: Volumes;
}

/** @returns the alarm's id; undefined: the catalog did not take it */
export async function raiseAlarm(
  parts: AlarmParts,
  of: SignalVolume,
  volume: string,
  suspicion: Suspicion,
): Promise<number | undefined> {
  const { catalog, log, tell } = parts;
  const before = await resolved(parts, volume, suspicion);
  const { hold, trouble } = await holdBefore(parts, volume, before);
  let id: number | undefined;
  try {
    id = catalog.signals.addAlarm({
      ...of,
      raisedAt: micros(suspicion.at),
      firstLsn: suspicion.firstLsn,
      firstAt: micros(suspicion.from),
      beforeLsn: before.lsn,
      beforeAt: before.time,
      flushPoint: before.isFlushPoint,
      hold: hold ?? null,
      turned: suspicion.turned,
      perMinute: suspicion.turned,
      share: suspicion.share,
    });
  } catch (error) {
    log.error({ err: error }, "the catalog did not take an alarm");
  }
  log.error({ volume, ...suspicion, hold }, "a volume seems to be encrypted by somebody");
  tell({
    level: "alert",
    kind: "ransomware-suspected",
    subject: volume,
    message: words(volume, suspicion, before, hold, trouble, id),
  });
  return id;
}

interface Before {
  lsn: number;
  time: Micros;
  isFlushPoint: boolean;
}

async function resolved({ volumes, log }: AlarmParts, volume: string, { before, from }: Suspicion): Promise<Before> {
  // A volume that was made by branching has flushes of its own only after that.
  const at = Math.max(before.lsn, volumes.get(volume).createdLsn);
  try {
    const { time, flushPoint } = await volumes.resolve(volume, { kind: "lsn", lsn: lsn(at) });
    return { lsn: at, time, isFlushPoint: flushPoint };
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    log.warn({ err: error, volume, lsn: at }, "the moment before an alarm could not be dated");
    return { lsn: at, time: micros(from), isFlushPoint: before.isFlushPoint };
  }
}

/** Holds the moment, unless it is held or there are enough holds. */
async function holdBefore(
  { volumes }: AlarmParts,
  volume: string,
  before: Before,
): Promise<{ hold?: string; trouble?: string }> {
  try {
    const made = volumes.holds(volume).filter(({ name }) => name.startsWith(HOLD_PREFIX));
    const same = made.find((hold) => hold.lsn === before.lsn);
    if (same) return { hold: same.name };
    if (made.length >= HOLDS_MAX) {
      return {
        trouble: `there are ${HOLDS_MAX} holds of earlier alarms; release what is not needed, then hold it by hand`,
      };
    }
    const name = HOLD_PREFIX + formatTime(before.time).slice(0, 19).replaceAll(/[-:]/g, "") + "Z";
    const taken = volumes.holds(volume).some((hold) => hold.name === name);
    const note = "made by an alarm: the last moment before the volume seemed to be encrypted";
    const moment = { kind: "lsn", lsn: lsn(before.lsn) } as const;
    const { name: hold } = await volumes.hold(volume, taken ? `${name}-${before.lsn}` : name, moment, note);
    return { hold };
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return { trouble: errorText(error) };
  }
}

function words(
  volume: string,
  { turned, share, from }: Suspicion,
  before: Before,
  hold: string | undefined,
  trouble: string | undefined,
  id: number | undefined,
): string {
  const amount = formatSize(turned * BLOCK_SIZE);
  const kept =
    hold === undefined
      ? `It could NOT be held (${trouble ?? "unknown reason"}): hold it now with \`sternway hold ${volume}@lsn:${before.lsn}\`.`
      : `Hold ${hold} keeps it until somebody releases it.`;
  const acknowledge = id === undefined ? "" : ` If it was you: \`sternway alarm acknowledge ${id} --mine\`.`;
  return (
    `volume ${volume} seems to be encrypted in place since ${formatTime(micros(from))}: ${amount} that compressed were overwritten with data that looks random, ` +
    `${Math.round(share * 100)}% of what was written. The last moment before it is lsn ${before.lsn}, ${formatTime(before.time)}. ${kept} ` +
    `Take the machine off the network, look at \`sternway signals ${volume}\`, and when it is clean: \`sternway rollback ${volume} --to lsn:${before.lsn}\`.${acknowledge}`
  );
}

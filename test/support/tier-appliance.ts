/**
 * An appliance with tiers as a test meets it: how its tiers do, what its moments hold, and fio as the client that knows what it wrote. What one appliance gave is kept as
 * image files, so that another one's answers can be held against them byte for byte.
 */
import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { WireTier } from "../../src/contract/contract.ts";
import { execute, succeed, type CommandResult, type DaemonProcess } from "./daemon-process.ts";

/** Small journal files seal often, and a small cache leaves reads to the packs. */
export const TIER_CONFIG = {
  storage: { journalFileBytes: "4MiB", journalFilesMax: 16, frameCacheBytes: "4MiB", pageCacheBytes: "4MiB" },
  scrub: { cycleDays: 365 },
};

const SEALED = /\.(pack|layer|chronicle)$/;
/** A step of merging takes less. */
const REST_MS = 500;

/** Polls until a condition holds. @throws with what the condition last said when it does not in time */
export async function within<Value>(
  timeMsMax: number,
  what: string,
  condition: () => Promise<Value | false> | Value | false,
): Promise<Value> {
  const from = performance.now();
  for (;;) {
    const value = await condition();
    if (value !== false) return value;
    if (performance.now() - from > timeMsMax) throw new Error(`not within ${timeMsMax} ms: ${what}`);
    await Bun.sleep(25);
  }
}

export async function tierOf(daemon: DaemonProcess, vault: string, tier: string): Promise<WireTier> {
  const found = (await daemon.client.tiers(vault)).find(({ name }) => name === tier);
  if (!found) throw new Error(`vault ${vault} has no tier ${tier}`);
  return found;
}

/** Waits until a tier is in one of some states. @throws with what it is in when it is not in time */
export async function tierComesTo(
  daemon: DaemonProcess,
  {
    vault = "default",
    tier,
    states,
    timeMsMax = 30_000,
  }: {
    vault?: string;
    tier: string;
    states: readonly WireTier["state"][];
    timeMsMax?: number;
  },
): Promise<WireTier> {
  let last: WireTier | undefined;
  try {
    return await within(timeMsMax, "", async () => {
      last = await tierOf(daemon, vault, tier);
      return states.includes(last.state) && last;
    });
  } catch (cause) {
    const is = `${last?.state}, ${last?.reason ?? "without a reason"}`;
    throw new Error(`tier ${tier} is not ${states.join(" or ")} within ${timeMsMax} ms, but ${is}`, { cause });
  }
}

/** Waits until a tier holds everything that was written so far, by itself. */
export async function tierCatchesUp(
  daemon: DaemonProcess,
  vault: string,
  tier: string,
  timeMsMax = 60_000,
): Promise<void> {
  const target = (await daemon.client.vaultNamed(vault)).status?.lastLsn ?? 0;
  await within(timeMsMax, `tier ${tier} has everything up to LSN ${target}`, async () => {
    const { state, reachedLsn } = await tierOf(daemon, vault, tier);
    return state === "online" && reachedLsn >= target;
  });
}

/** What an export holds, as a file. */
export async function imageOf(daemon: DaemonProcess, exportName: string, path: string): Promise<string> {
  rmSync(path, { force: true });
  await succeed(["nbdcopy", daemon.uri(exportName), path]);
  return path;
}

/** An export gives what an image holds, byte for byte. */
export async function expectSame(daemon: DaemonProcess, exportName: string, image: string): Promise<void> {
  const copy = await imageOf(daemon, exportName, `${image}.again`);
  await succeed(["cmp", copy, image]);
  rmSync(copy);
}

export interface FioJob {
  sizeMib: number;
  /** Tells one job's contents from another's. */
  seed: number;
  /** Limits writing, so that it lasts. */
  mibPerSecond?: number;
  words?: readonly string[];
}

const fioWords = (uri: string, { sizeMib, seed }: FioJob): string[] => [
  ...["fio", "--name=job", "--ioengine=nbd", `--uri=${uri}`, `--size=${sizeMib}m`, `--randseed=${seed}`],
  ...["--bs=16k", "--iodepth=8", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0"],
];

/** Writes at random places, all of them once, with a flush now and then, and verifies it. @throws never: the outcome says how it went */
export async function fioWrites(uri: string, job: FioJob): Promise<CommandResult> {
  return await execute([
    ...fioWords(uri, job),
    ...["--rw=randwrite", "--fsync=32", "--end_fsync=1", "--do_verify=1"],
    ...(job.mibPerSecond === undefined ? [] : [`--rate=,${job.mibPerSecond}m`]),
    ...(job.words ?? []),
  ]);
}

/** An export holds what a job of {@link fioWrites} wrote. */
export async function fioVerifies(uri: string, job: FioJob): Promise<void> {
  await succeed([...fioWords(uri, job), "--rw=randread", "--readonly"]);
}

/** Every file beneath a folder with its size and its content's hash: what a place holds, and whether anybody wrote there. */
export function contentsOf(folder: string): Map<string, string> {
  const contents = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    const bytes = bytesOf(path);
    if (!bytes) continue;
    contents.set(relative(folder, path), `${bytes.length} ${Bun.hash.xxHash3(bytes).toString(16)}`);
  }
  return contents;
}

/** Undefined: it was removed since it was listed. */
function bytesOf(path: string): Uint8Array | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}

/** The packs, layers and chronicles of a vault on its machine. */
export function sealedFilesOf(dataDir: string, vault: string): string[] {
  const dir = join(dataDir, "vaults", vault);
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && SEALED.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * Waits until a directory that is a tier holds a copy of every sealed file of a vault, and merging has come to rest: what is lost here from then on is there.
 * @param place - the directory
 */
export async function tierEquals(dataDir: string, vault: string, place: string, timeMsMax = 30_000): Promise<void> {
  let before = "";
  await within(timeMsMax, `${place} holds every sealed file of vault ${vault}`, async () => {
    const here = [...contentsOf(join(dataDir, "vaults", vault))].filter(([path]) => SEALED.test(path));
    const there = new Set(contentsOf(place).values());
    const now = JSON.stringify(here);
    const isEqual = now === before && here.every(([, content]) => there.has(content));
    before = now;
    if (!isEqual) await Bun.sleep(REST_MS);
    return isEqual;
  });
}

/** Has what is read next come from the disk, where the kernel lets us. */
export function dropCaches(): void {
  if (process.getuid?.() === 0) writeFileSync("/proc/sys/vm/drop_caches", "3");
}

export const sizeOf = (path: string): number => statSync(path).size;

/** Nothing that nobody asked for is in its log. */
export function expectNoComplaints(...daemons: DaemonProcess[]): void {
  for (const { complaints } of daemons) expect(complaints).toEqual([]);
}

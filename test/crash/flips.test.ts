/**
 * Law 3 on every part of a vault: a byte is turned over in each stretch of 64 bytes of every file, one after the other, and each time the vault is
 * opened and read at every moment. It gives the right bytes or a typed error, never wrong ones, and never hangs; and the check finds damage to
 * whatever is sealed, also where no read meets it.
 *
 * What it may say less of: damage to the journal's newest group cannot be told from a write that a crash tore, so the vault may come back as it was
 * before that group. By default one stretch of each four is tried, others each time; STERNWAY_SOAK=1 tries all.
 */
import { expect, test } from "bun:test";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Simulation } from "../../src/base/simulation.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { horizonOf } from "../../src/volume/kept-moments.ts";
import { asLsn, sizeOf, strandOf, type VaultModel } from "../support/model.ts";
import { RICH_OPTIONS, richVault, type RichVault } from "../support/rich-vault.ts";
import { encryptedBed, openBed } from "../support/vault-bed.ts";
import { LawBroken, same } from "../support/workload.ts";

const BLOCK = 4096;
const STRIDE = 64;
const SKIP = process.env["STERNWAY_SOAK"] === undefined ? 4 : 1;
const SEED = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 30));

/** What manifests name, with checksums. */
const SEALED = ["packs", "layers", "chronicles"];

const kindOf = (path: string): string => path.split("/")[3]!;

interface Place {
  path: string;
  offset: number;
}

/** One place in each stretch that holds anything; of a journal's empty pages, which nobody reads, one in sixteen. */
function placesIn({ disk }: RichVault): Place[] {
  const random = seededRandom(SEED);
  const places: Place[] = [];
  for (const path of disk.paths()) {
    const bytes = disk.peek(path)!;
    for (let page = 0; page < bytes.length; page += BLOCK) {
      const isEmpty = !bytes.subarray(page, page + BLOCK).some((byte) => byte !== 0);
      const skip = kindOf(path) === "vault.json" ? 1 : isEmpty ? 16 * SKIP : SKIP;
      for (let at = page; at < Math.min(page + BLOCK, bytes.length); at += STRIDE) {
        if (random.below(skip) > 0) continue;
        places.push({ path, offset: at + random.below(Math.min(STRIDE, bytes.length - at)) });
      }
    }
  }
  return places;
}

interface Outcome {
  /** How far it could be opened. */
  opened: "refused" | "read-only" | "writable";
  right: number;
  refused: number;
  /** Of the check; where it was made. */
  findings?: number;
}

/** Opens a damaged copy and reads everything. @throws LawBroken: wrong bytes */
async function openAndRead(rich: RichVault, options: Partial<VaultOptions>, place: Place): Promise<Outcome> {
  const sim = new Simulation(1);
  const disk = rich.disk.crashed(sim);
  disk.flipBit(place.path, place.offset, place.offset % 8);
  const outcome: Outcome = { opened: "writable", right: 0, refused: 0 };
  await sim.run(
    async () => {
      let vault: Vault;
      try {
        ({ vault } = await openBed(sim, disk, { ...RICH_OPTIONS, ...options }));
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        outcome.opened = "refused";
        return;
      }
      if (vault.readOnlyReason !== undefined) outcome.opened = "read-only";
      await readAll(vault, rich.model, outcome);
      if (SEALED.includes(kindOf(place.path))) outcome.findings = await findingsOf(vault);
      await vault.stop();
    },
    { stepsMax: 1_000_000 },
  );
  return outcome;
}

async function readAll(vault: Vault, model: VaultModel, outcome: Outcome): Promise<void> {
  const known = model.prefix(vault.recoveredLsn);
  const bytes = new Uint8Array(BLOCK);
  for (const { lsn } of known.events) {
    for (const volume of known.volumesAt(lsn)) {
      const record = vault.registry.byId(volume.id);
      if (!record || record.deletedLsn !== undefined || lsn < horizonOf(record)) continue;
      const strand = strandOf(volume, lsn)!;
      for (let block = 0; block * BLOCK < sizeOf(volume, lsn); block++) {
        try {
          await vault.read(strand, asLsn(lsn), block, bytes);
        } catch (error) {
          if (!isSternwayError(error)) throw error;
          outcome.refused++;
          continue;
        }
        same(bytes, known.block(strand, lsn, block), `${volume.name}, block ${block} at LSN ${lsn}`);
        outcome.right++;
      }
    }
  }
}

async function findingsOf(vault: Vault): Promise<number> {
  let findings = 0;
  for await (const step of checkVault(vault)) if (step.line === "finding") findings++;
  return findings;
}

for (const [what, options] of [
  ["plain", {}],
  ["encrypted", encryptedBed],
] as const) {
  test(`law 3: a byte turned over anywhere in a vault (${what}) gives right bytes or a typed error (seed ${SEED})`, async () => {
    const rich = await richVault(options);
    const newest = rich.model.durableLsn;
    const tally = new Map<string, Record<string, number>>();
    for (const place of placesIn(rich)) {
      let outcome: Outcome;
      try {
        outcome = await openAndRead(rich, options, place);
      } catch (error) {
        throw new LawBroken(
          `${place.path} at ${place.offset}: ${error instanceof Error ? error.stack : String(error)}`,
        );
      }
      if (outcome.findings === 0) throw new LawBroken(`${place.path} at ${place.offset}: the check finds nothing`);
      const counts = tally.get(kindOf(place.path)) ?? {};
      tally.set(kindOf(place.path), counts);
      const ending = outcome.opened === "writable" && outcome.refused > 0 ? "in part" : outcome.opened;
      counts[ending] = (counts[ending] ?? 0) + 1;
    }
    if (SKIP === 1) console.log(what, newest, Object.fromEntries(tally));
    // It was read, and damage was met: neither a suite that reads nothing nor one that damages nothing passes.
    const sum = (ending: string): number => [...tally.values()].reduce((all, counts) => all + (counts[ending] ?? 0), 0);
    expect(sum("writable")).toBeGreaterThan(20);
    expect(sum("in part")).toBeGreaterThan(20);
    // What only a whole vault can do without is said before anything is served.
    expect(tally.get("vault.json")!["writable"] ?? 0).toBe(0);
    for (const kind of SEALED) expect(tally.get(kind)!["refused"] ?? 0).toBe(0);
  }, 600_000);
}

/**
 * The check: whether a vault holds what it says, on a running vault and on one that was opened for reading. It verifies law 5 (manifests
 * name what is there), law 2 (the map reaches every moment) and law 3 (every stored byte matches its checksum), and names each
 * damaged place with the volumes, blocks and LSNs that it concerns.
 *
 * It writes nothing, holds a journal file only while it reads that one, and keeps no more than some findings in memory. What changes beside it
 * (stretches sealed, layers merged) is no finding; what came after it began may go unchecked until the next one.
 */
import { SternwayError } from "../../base/errors.ts";
import { checkChronicles } from "./check-chronicles.ts";
import { checkManifests } from "./check-files.ts";
import { checkJournal } from "./check-journal.ts";
import { checkLayers, traceSuspects } from "./check-layers.ts";
import { checkPacks, Suspects } from "./check-packs.ts";
import { registryFaults } from "./check-registry.ts";
import { CheckRun, type CheckOptions, type CheckStep } from "./check-report.ts";
import { checkVolumes } from "./check-volumes.ts";
import type { Vault } from "../vault.ts";

export type {
  CheckEnd,
  CheckFinding,
  CheckOptions,
  CheckProgress,
  CheckStep,
  FindingKind,
  Touch,
} from "./check-report.ts";

/** A vault on a dying disk may have millions; after these they are only counted. */
const FINDINGS_TOLD_MAX = 1_000;

/**
 * Checks a vault. Lines of progress and findings, then one line `end`; an aborted check ends without it.
 * Costs: reads every pack twice (frames, then the file's checksum, from the page cache); `deep` reads volumes once more.
 * @throws not_found: no such volume; unavailable: the disk failed in a way that says nothing about what it holds
 */
export async function* checkVault(
  vault: Vault,
  options: CheckOptions = {},
): AsyncGenerator<CheckStep, void, undefined> {
  const { clock } = vault.parts;
  const started = clock.monotonic();
  if (options.volume !== undefined && !vault.registry.find(options.volume)) {
    throw new SternwayError("not_found", `there is no volume ${options.volume}`, { volume: options.volume });
  }
  const run = new CheckRun(vault, options);
  let findings = 0;
  for await (const step of parts(run)) {
    if (options.signal?.aborted === true) return;
    if (step.line === "finding" && ++findings > FINDINGS_TOLD_MAX) continue;
    yield step;
  }
  if (options.signal?.aborted === true) return;
  yield { line: "end", findings, objects: run.objects, bytes: run.bytes, micros: clock.monotonic() - started };
}

async function* parts(run: CheckRun): AsyncGenerator<CheckStep> {
  yield* checkManifests(run);
  yield* checkRegistry(run);
  yield* checkJournal(run);
  const packs = new Set<number>();
  yield* checkLayers(run, packs);
  const suspects = new Suspects();
  yield* checkPacks(run, run.strands && packs, suspects);
  yield* traceSuspects(run, suspects);
  yield* suspects.findings(run);
  yield* checkChronicles(run);
  yield* checkVolumes(run, suspects);
}

/** The registry as it is now, and as the newest manifest keeps it. */
function* checkRegistry(run: CheckRun): Generator<CheckStep> {
  const { sealing, registry, lastLsn } = run.vault;
  const sides = [
    ["the registry", registry.toState(), lastLsn],
    ["the manifest's registry", sealing.manifest.registry, sealing.manifest.sealed.lsn],
  ] as const;
  for (const [subject, state, through] of sides) {
    for (const { volume, message } of registryFaults(state, through)) {
      const name = state.volumes[volume - 1]?.name ?? `number ${volume}`;
      yield run.finding("registry", subject, `volume ${name}: ${message}`, { volume: name });
    }
  }
}

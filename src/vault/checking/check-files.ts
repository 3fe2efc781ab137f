/**
 * The check of files as such: manifests with their chain, and that what the newest one names is there with the size and checksum that
 * it names (law 5). Files are read by descriptors of the check's own, so that nothing is pinned; a file that is gone
 * because it was merged or recycled meanwhile is no finding.
 */
import { errorText, isSternwayError } from "../../base/errors.ts";
import { hashText, xxh64Stream } from "../../base/hash.ts";
import { isDamage, type CheckRun, type CheckStep, type FindingKind } from "./check-report.ts";
import { loadManifest, manifestName, MANIFESTS_KEPT } from "../manifest.ts";

const READ_BYTES = 2 ** 20;

/** What is wrong with a file as a whole. */
export interface FileDamage {
  kind: FindingKind;
  message: string;
}

/** Compares a file's size, and unless `sizeOnly` its checksum, with the manifest's. @param checksum - 16 hex digits, XXH64 with seed 0 */
export async function checkFile(
  run: CheckRun,
  path: string,
  sizeBytes: number,
  checksum: string,
  sizeOnly: boolean,
): Promise<FileDamage | undefined> {
  const { disk } = run.vault.parts;
  const actual = await disk.sizeOf(path);
  if (actual === undefined) return { kind: "file-missing", message: `${path} is missing` };
  if (actual !== sizeBytes) {
    return { kind: "file-size", message: `${path} has ${actual} bytes, the manifest says ${sizeBytes}` };
  }
  if (sizeOnly) return undefined;
  try {
    const found = await checksumOf(run, path, sizeBytes);
    if (found === checksum) return undefined;
    return { kind: "file-checksum", message: `${path} has checksum ${found}, the manifest says ${checksum}` };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { kind: error.kind === "not_found" ? "file-missing" : "file-checksum", message: errorText(error) };
  }
}

async function checksumOf(run: CheckRun, path: string, sizeBytes: number): Promise<string> {
  const hash = xxh64Stream(0n);
  const file = await run.vault.parts.disk.open(path, "read");
  try {
    const buffer = new Uint8Array(Math.min(READ_BYTES, sizeBytes));
    for (let offset = 0; offset < sizeBytes;) {
      const got = await file.read(buffer.subarray(0, Math.min(buffer.length, sizeBytes - offset)), offset);
      if (got === 0) break;
      hash.update(buffer.subarray(0, got));
      run.bytes += got;
      offset += got;
    }
  } finally {
    await file.close();
  }
  return hashText(hash.digest());
}

/** The kept manifests: each readable, of this vault, and naming the hash of the one before. */
export async function* checkManifests(run: CheckRun): AsyncGenerator<CheckStep> {
  const { disk, dir, identity } = run.vault.parts;
  const { sealing } = run.vault;
  const folder = `${dir}/manifest`;
  const names = (await disk.list(folder)).filter((name) => /^\d{10}$/.test(name));
  const newest = Math.max(sealing.manifest.number, ...names.map(Number));
  const vault = Buffer.from(identity.id).toString("hex");
  let before: { number: number; sha256: string } | undefined;
  for (let number = Math.max(1, newest - MANIFESTS_KEPT + 1); number <= newest; number++) {
    const path = `${folder}/${manifestName(number)}`;
    const subject = `manifest ${number}`;
    const facts = { file: path, manifest: number };
    yield {
      line: "progress",
      what: "manifests",
      done: Math.max(0, number - newest + MANIFESTS_KEPT - 1),
      total: MANIFESTS_KEPT,
    };
    run.objects++;
    try {
      const { manifest, sha256 } = await loadManifest(disk, path, vault, identity.cipher);
      if (manifest.number !== number) {
        yield run.finding("manifest-chain", subject, `${path} says that it is number ${manifest.number}`, facts);
      } else if (before?.number === number - 1 && manifest.previous !== before.sha256) {
        yield run.finding(
          "manifest-chain",
          subject,
          `${path} does not follow manifest ${number - 1}: it names another hash`,
          facts,
        );
      }
      before = { number, sha256 };
    } catch (error) {
      if (!isDamage(error)) throw error;
      // Beside a running vault old manifests go while we look.
      const isOld = number <= sealing.manifest.number - MANIFESTS_KEPT;
      // A tier has not each of them: it may have been brought up from one to a much later one.
      const mayLack = run.vault.parts.mayLackManifests === true && isSternwayError(error, "not_found");
      if (isOld || (mayLack && number < sealing.manifest.number)) continue;
      const kind = isSternwayError(error, "not_found") ? "manifest-missing" : "manifest-damaged";
      yield run.finding(kind, subject, errorText(error), facts);
    }
  }
}

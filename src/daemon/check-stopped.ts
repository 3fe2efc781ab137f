/**
 * The check of vaults that no daemon serves: it takes the folder's lock, so that none starts meanwhile, and reads only. A vault that
 * cannot be opened is a finding, and the others are checked all the same.
 */
import { lockFile } from "../base/file-lock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import { realDisk } from "../base/real-disk.ts";
import type { StoppedCheck } from "../cli/program.ts";
import type { CheckLine } from "../contract/contract.ts";
import { listVaultKeys } from "../vault/vault-keys.ts";
import { checkVaultAt } from "./assemble.ts";
import { dataPaths } from "./data-dir.ts";
import { holdsVault, vaultNames } from "./vault-folders.ts";

type Line = Exclude<CheckLine, { line: "failed" }>;

/** @throws not_found: no vault is there, or not the one or the volume asked for; conflict: a daemon holds it */
export async function* checkStopped(options: StoppedCheck): AsyncGenerator<CheckLine, void, undefined> {
  const { request, signal } = options;
  const { path, vaultsDir } = dataPaths(options.dataDir);
  const all = vaultNames(vaultsDir);
  if (all.length === 0) throw new SternwayError("not_found", `there is no vault in ${path}`, { path });
  const names = request.vault === undefined ? all : all.filter((name) => name === request.vault);
  if (names.length === 0) {
    throw new SternwayError("not_found", `there is no vault ${request.vault} in ${path}; there are: ${all.join(", ")}`);
  }
  using stack = new DisposableStack();
  const lock = lockFile(`${path}/lock`);
  stack.defer(() => lock.release());
  const end = { line: "end" as const, findings: 0, objects: 0, bytes: 0 };
  let absent: SternwayError | undefined;
  let found = false;
  for (const name of names) {
    const dir = `${vaultsDir}/${name}`;
    try {
      if (!holdsVault(dir)) throw new SternwayError("unavailable", `${dir} holds no vault; is its disk mounted?`);
      for await (const line of checkOne(dir, options)) {
        if (line.line !== "end") {
          yield line;
          continue;
        }
        end.findings += line.findings;
        end.objects += line.objects;
        end.bytes += line.bytes;
      }
      found = true;
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      if (error.kind === "not_found" && request.volume !== undefined) {
        absent = error;
        continue;
      }
      if (names.length === 1) throw error;
      if (error.kind === "corrupt") end.findings++;
      yield notOpened(name, error);
    }
    if (signal.aborted) return;
  }
  if (!found && absent) throw absent;
  yield end;
}

async function* checkOne(
  dir: string,
  { request, signal, unlock }: StoppedCheck,
): AsyncGenerator<Line, void, undefined> {
  // A secret is for the vaults that are encrypted; the others refuse one.
  const isEncrypted = unlock !== undefined && (await listVaultKeys({ disk: realDisk, dir })).length > 0;
  yield* checkVaultAt(dir, request, signal, isEncrypted ? unlock : undefined);
}

function notOpened(name: string, error: SternwayError): Line {
  return {
    line: "finding",
    severity: error.kind === "corrupt" ? "damage" : "warning",
    subject: `vault ${name}`,
    message: `it could not be opened: ${errorText(error)}`,
    facts: { vault: name },
  };
}

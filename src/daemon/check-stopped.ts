/**
 * The check of vaults that no daemon serves: it takes the folder's lock, so that none starts meanwhile, and reads only. A vault that
 * cannot be opened is a finding, and the others are checked all the same.
 *
 * An encrypted vault is opened by the key that is given, else by the one that would open it at a start. A key that opens none of them is refused.
 */
import { lockFile } from "../base/file-lock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import { realDisk } from "../base/real-disk.ts";
import { loadConfig } from "../config/config.ts";
import type { CheckLine, CheckRequest, VaultKey } from "../contract/contract.ts";
import { createLog } from "../observe/log.ts";
import { wipeSecret } from "../security/secret.ts";
import { listVaultKeys } from "../vault/vault-keys.ts";
import { checkVaultAt } from "./assemble.ts";
import { dataPaths } from "./data-dir.ts";
import { readKnownVolumes } from "./known-volumes.ts";
import { startKeys } from "./start-keys.ts";
import { holdsVault, vaultNames } from "./vault-folders.ts";
import { secretOf } from "./vault-secret.ts";

type Line = Exclude<CheckLine, { line: "failed" }>;

export interface StoppedCheck {
  dataDir: string;
  request: CheckRequest;
  signal: AbortSignal;
  /** Of the encrypted vaults. */
  key?: VaultKey | undefined;
  /** Where systemd's credentials are told; see start-keys.ts. */
  environment?: Record<string, string | undefined>;
}

/** @throws not_found: no vault is there, or not the one or the volume asked for; conflict: a daemon holds it; denied: wrong key */
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
  const check = await checkerOf(options);
  const end = { line: "end" as const, findings: 0, objects: 0, bytes: 0 };
  let absent: SternwayError | undefined;
  let denied: SternwayError | undefined;
  let found = false;
  let opened = false;
  for (const name of names) {
    const dir = `${vaultsDir}/${name}`;
    try {
      if (!holdsVault(dir)) throw new SternwayError("unavailable", `${dir} holds no vault; is its disk mounted?`);
      for await (const line of check(name, dir)) {
        if (line.line !== "end") {
          yield line;
          continue;
        }
        end.findings += line.findings;
        end.objects += line.objects;
        end.bytes += line.bytes;
      }
      found = true;
      opened ||= (await listVaultKeys({ disk: realDisk, dir })).length > 0;
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      if (error.kind === "not_found" && request.volume !== undefined) {
        absent = error;
        continue;
      }
      if (names.length === 1) throw error;
      if (error.kind === "corrupt") end.findings++;
      if (error.kind === "denied") denied = error;
      yield notOpened(name, error);
    }
    if (signal.aborted) return;
  }
  // A key that was given must have opened something, or it was a mistake.
  if (denied && options.key && !opened) throw denied;
  if (!found && absent) throw absent;
  yield end;
}

/** What checks one vault with the key that is its own. */
async function checkerOf(
  options: StoppedCheck,
): Promise<(name: string, dir: string) => AsyncGenerator<Line, void, undefined>> {
  const { dataDir, request, signal } = options;
  const log = createLog({ level: "warn", format: "json" });
  const known = await readKnownVolumes(realDisk, dataPaths(dataDir).knownVolumesPath, log);
  return async function* (name, dir) {
    const remembered = known[name];
    const mustBeEncrypted = remembered !== undefined && "prints" in remembered;
    const isEncrypted = (await listVaultKeys({ disk: realDisk, dir })).length > 0;
    const key = isEncrypted ? await keyOf(options, name) : undefined;
    const unlock = key && (await secretOf(realDisk, log, key));
    try {
      yield* checkVaultAt(dir, request, signal, { unlock, mustBeEncrypted });
    } finally {
      if (unlock) wipeSecret(unlock);
    }
  };
}

async function keyOf({ key, dataDir, environment = {} }: StoppedCheck, vault: string): Promise<VaultKey | undefined> {
  if (key) return key;
  const { vaults } = await loadConfig({ disk: realDisk, dataDir, environment });
  return startKeys(vaults, environment)(vault);
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

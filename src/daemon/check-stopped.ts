/** The check of a vault that no daemon serves: it takes the folder's lock, so that none starts meanwhile, and reads only. */
import { existsSync } from "node:fs";
import { lockFile } from "../base/file-lock.ts";
import { SternwayError } from "../base/errors.ts";
import type { CheckLine, CheckRequest } from "../contract/contract.ts";
import { dataPaths } from "./data-dir.ts";
import { checkVaultAt } from "./assemble.ts";

/** @throws not_found: no vault is there; conflict: a daemon holds it */
export async function* checkStopped(options: {
  dataDir: string;
  request: CheckRequest;
  signal: AbortSignal;
}): AsyncGenerator<CheckLine, void, undefined> {
  const { path, vaultDir } = dataPaths(options.dataDir);
  if (!existsSync(vaultDir)) throw new SternwayError("not_found", `there is no vault in ${path}`, { path });
  using stack = new DisposableStack();
  const lock = lockFile(`${path}/lock`);
  stack.defer(() => lock.release());
  yield* checkVaultAt(vaultDir, options.request, options.signal);
}

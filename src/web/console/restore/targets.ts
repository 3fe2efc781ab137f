/** Where one can restore to, in the order in which they are offered: what changes nothing comes first. */
import type { OperationId } from "../../../contract/contract.ts";
import type { Subject } from "./plan.ts";
import type { RestoreTarget } from "./target.ts";
import { branchMachineTarget } from "./targets/branch-machine.tsx";
import { branchTarget } from "./targets/branch.tsx";
import { downloadTarget } from "./targets/download.tsx";
import { mountTarget } from "./targets/mount.tsx";
import { rollbackMachineTarget } from "./targets/rollback-machine.tsx";
import { rollbackTarget } from "./targets/rollback.tsx";

export const TARGETS: readonly RestoreTarget[] = [
  mountTarget,
  downloadTarget,
  branchTarget,
  branchMachineTarget,
  rollbackTarget,
  rollbackMachineTarget,
];

/** Those that can restore the subject and that somebody may use. */
export function targetsFor(subject: Subject, may: (operation: OperationId) => boolean): RestoreTarget[] {
  return TARGETS.filter((target) => target.takes(subject) && target.needs(subject).every(may));
}

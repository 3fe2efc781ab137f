/** What can be restored, from the appliance. */
import { SternwayError } from "../../../base/errors.ts";
import { api } from "../api.ts";
import type { Subject } from "./plan.ts";

/** @throws not_found: no such volume or machine; unavailable: none of a machine's volumes can be had now */
export async function subjectOf(kind: Subject["kind"], name: string): Promise<Subject> {
  if (kind === "volume") return { kind, name, volumes: [await api.volume(name)] };
  const { volumes } = await api.machine(name);
  if (volumes.length === 0) {
    throw new SternwayError("unavailable", `none of the disks of machine ${name} can be had now`, { machine: name });
  }
  return { kind, name, volumes };
}

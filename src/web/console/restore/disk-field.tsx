/** Which disk of a machine, where only one can be taken at a time. */
import { useState } from "preact/hooks";
import type { WireVolume } from "../../../contract/contract.ts";
import { SelectField } from "../parts/field.tsx";
import type { Subject } from "./plan.ts";

/** @returns the chosen disk, at first the first, and the field; no field where there is nothing to choose */
export function useDisk({ volumes }: Subject) {
  const [name, setName] = useState(volumes[0]!.name);
  const volume: WireVolume = volumes.find((each) => each.name === name) ?? volumes[0]!;
  const field = volumes.length > 1 && (
    <SelectField
      label="Disk"
      value={volume.name}
      onInput={setName}
      choices={volumes.map((each) => ({ value: each.name, label: each.name }))}
    />
  );
  return { volume, field };
}

/** Whether a machine has a volume attached now. */
import type { WireVolume } from "../../contract/contract.ts";
import { Badge } from "./parts/notice.tsx";

export function AttachedBadge({ volume }: { volume: Pick<WireVolume, "attached"> }) {
  const isAttached = volume.attached > 0;
  return <Badge tone={isAttached ? "good" : "plain"}>{isAttached ? "connected" : "not connected"}</Badge>;
}

/** What the strip's colours and signs mean: only those that this history can have. */
import type { ComponentChildren } from "preact";
import type { KeptFacts } from "./facts.ts";
import { lengthText } from "./time.ts";

export function Legend({ kept }: { kept: KeptFacts }) {
  const hasGone = kept.everyWriteFrom > kept.createdAt;
  return (
    <ul class="strip-legend" aria-label="What the strip shows">
      <Sign look="written">written</Sign>
      <Sign look="cleared">cleared</Sign>
      <Sign look="flush">flush points</Sign>
      <Sign look="every-write">
        every write kept{kept.keptFor === undefined ? ", for ever" : ` for ${lengthText(kept.keptFor)}`}
      </Sign>
      {kept.keptFor !== undefined && <Sign look="expiring">going soon</Sign>}
      {(hasGone || kept.points.length > 0) && <Sign look="point">kept as points</Sign>}
    </ul>
  );
}

function Sign({ look, children }: { look: string; children: ComponentChildren }) {
  return (
    <li>
      <span class={`sign sign-${look}`} aria-hidden="true" />
      {children}
    </li>
  );
}

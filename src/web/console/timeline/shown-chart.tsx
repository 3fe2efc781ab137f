/** The chart below a timeline, for those who want figures: drawn when it is asked for. */
import { useState } from "preact/hooks";
import { Button } from "../parts/button.tsx";
import type { StripFacts } from "./facts.ts";
import { SeriesChart, type SeriesChartProps } from "./series-chart.tsx";

export interface ShownChartProps extends Omit<SeriesChartProps, "facts"> {
  /** On the button that shows it. */
  label: string;
  /** Undefined: not loaded yet. */
  facts: StripFacts | undefined;
}

export function ShownChart({ label, facts, ...chart }: ShownChartProps) {
  const [isShown, setShown] = useState(false);
  return (
    <div class="stack-tight">
      <div>
        <Button size="small" expanded={isShown} onClick={() => setShown(!isShown)}>
          {isShown ? "Hide the chart" : label}
        </Button>
      </div>
      {isShown && facts && <SeriesChart facts={facts} {...chart} />}
    </div>
  );
}

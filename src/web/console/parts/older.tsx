/** The way on to older entries, under a list that begins with the newest. */
import { Button } from "./button.tsx";

/** More than this the API does not give at once, and nobody reads through by eye. */
const ENTRIES_MAX = 1_000;

export interface OlderProps {
  /** The list's own word on where older entries begin; undefined: there are none. */
  next: number | string | undefined;
  /** Entries that are asked for now. */
  limit: number;
  onLimit: (limit: number) => void;
  /** So many more at a time. */
  step?: number;
}

export function Older({ next, limit, onLimit, step = 200 }: OlderProps) {
  if (next === undefined) return null;
  if (limit >= ENTRIES_MAX)
    return (
      <p class="quiet">These are the newest {ENTRIES_MAX.toLocaleString("en-US")}. The command line has older ones.</p>
    );
  return (
    <div>
      <Button onClick={() => onLimit(Math.min(ENTRIES_MAX, limit + step))}>Show older ones</Button>
    </div>
  );
}

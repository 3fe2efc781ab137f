/**
 * The lines of one job, numbered from 1 as they came, the newest kept as text. Beyond its bounds progress goes first, the oldest of it, then the oldest of the
 * rest. The end has the number after the last line.
 */

const LINES_MAX = 5_000;
/** What is behind the newest is of use to nobody; several things may go on side by side, each with its own. */
const PASSING_MAX = 100;
/** In UTF-16 units: a finding has some 200. */
const TEXT_LENGTH_MAX = 2 ** 20;

export interface JobEvent {
  id: number;
  name: "progress" | "line";
  /** JSON, one line. */
  data: string;
}

export class JobLines {
  /** Lines other than progress that were too many. */
  dropped = 0;
  private lastId = 0;
  private length = 0;
  private isEnded = false;
  private readonly passing = new Map<number, JobEvent>();
  private readonly staying = new Map<number, JobEvent>();
  private pulse = Promise.withResolvers<void>();

  /** The number of the end, once it has come. */
  get endId(): number | undefined {
    return this.isEnded ? this.lastId + 1 : undefined;
  }

  add(line: object, isPassing: boolean): void {
    if (this.isEnded) return;
    const event: JobEvent = { id: ++this.lastId, name: isPassing ? "progress" : "line", data: JSON.stringify(line) };
    (isPassing ? this.passing : this.staying).set(event.id, event);
    this.length += event.data.length;
    while (this.isTooMuch()) this.dropOldest();
    this.wake();
  }

  end(): void {
    this.isEnded = true;
    this.wake();
  }

  /** Up to `countMax` events after an id, in order. */
  after(id: number, countMax: number): JobEvent[] {
    const found = [...newer(this.passing, id), ...newer(this.staying, id)].sort((a, b) => a.id - b.id);
    return found.slice(0, countMax);
  }

  /** Resolves when something was added since it was asked for. */
  changed(): Promise<void> {
    return this.pulse.promise;
  }

  private isTooMuch(): boolean {
    const { size } = this.passing;
    return size > PASSING_MAX || size + this.staying.size > LINES_MAX || this.length > TEXT_LENGTH_MAX;
  }

  private dropOldest(): void {
    const from = this.passing.size > 0 ? this.passing : this.staying;
    const [oldest] = from.values();
    if (!oldest) return;
    from.delete(oldest.id);
    this.length -= oldest.data.length;
    if (from === this.staying) this.dropped++;
  }

  private wake(): void {
    this.pulse.resolve();
    this.pulse = Promise.withResolvers<void>();
  }
}

/** A map keeps the order in which its entries came, which is that of their ids. */
function newer(events: ReadonlyMap<number, JobEvent>, id: number): JobEvent[] {
  return [...events.values()].filter((event) => event.id > id);
}

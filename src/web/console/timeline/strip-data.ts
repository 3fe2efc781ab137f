/**
 * What the strip needs from the appliance: the intervals of its grid, fetched when the view moves beyond what is there, and what is kept. An answer that comes after the
 * view has moved on is dropped; the strip shows the old one, stretched, until then. Grids of the past never change, so a few are remembered.
 */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { WireRetention, WireVolume } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { keptOfAll, stripFacts, type KeptFacts, type StripFacts } from "./facts.ts";
import { gridFor, serves, type Grid } from "./grid.ts";
import { microsOf, SECOND, wireTime } from "./time.ts";
import type { View } from "./view.ts";

/** How often the strip is fetched again while it shows the present. */
const LIVE_MS = 5_000;
/** A wheel turns in bursts: only where it comes to rest is asked for. */
const SETTLE_MS = 50;
/** Some 60 KB each. */
const REMEMBERED_MAX = 24;

export interface StripData {
  facts: StripFacts | undefined;
  error: unknown;
  loading: boolean;
  /** Fetches again: a bookmark was set. */
  reload: () => void;
}

async function fetchFacts(volumes: readonly string[], grid: Grid, signal: AbortSignal): Promise<StripFacts> {
  const range = { from: wireTime(grid.from), to: wireTime(grid.to), buckets: grid.count };
  const timelines = await Promise.all(
    volumes.map(async (name) => [name, await api.timeline(name, range, signal)] as const),
  );
  return stripFacts(grid, new Map(timelines));
}

export function useStripData(volumes: readonly string[], view: View | undefined, width: number): StripData {
  const [state, setState] = useState<Omit<StripData, "reload">>({ facts: undefined, error: undefined, loading: true });
  const [round, setRound] = useState(0);
  const remembered = useRef(new Map<string, StripFacts>());
  const names = volumes.join("\n");
  const grid = view && width > 0 ? gridFor(view, width) : undefined;
  const isServed = state.facts !== undefined && view !== undefined && serves(state.facts.grid, view, width);
  // A new grid is wanted only when the one at hand no longer does; panning within its margin asks for nothing.
  const wanted = useRef<Grid | undefined>(undefined);
  if (!isServed || wanted.current === undefined) wanted.current = grid;
  const key = wanted.current ? `${names}|${wanted.current.from}|${wanted.current.width}|${wanted.current.count}` : "";

  useEffect(() => remembered.current.clear(), [names, round]);

  useEffect(() => {
    const target = wanted.current;
    if (!target || names === "") return undefined;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const known = remembered.current.get(key);
    const attempt = async (): Promise<void> => {
      setState((old) => ({ ...old, loading: true }));
      const askedAt = Date.now() * 1000;
      try {
        const facts = await fetchFacts(names.split("\n"), target, stop.signal);
        if (stop.signal.aborted) return;
        setState({ facts, error: undefined, loading: false });
        if (target.to < askedAt - SECOND) remember(remembered.current, key, facts);
      } catch (error) {
        if (stop.signal.aborted) return;
        setState((old) => ({ ...old, error, loading: false }));
      }
      if (target.to >= askedAt) timer = setTimeout(again, LIVE_MS);
    };
    const again = (): void => {
      if (document.hidden) timer = setTimeout(again, LIVE_MS);
      else void attempt();
    };
    if (known) setState({ facts: known, error: undefined, loading: false });
    else timer = setTimeout(() => void attempt(), SETTLE_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, round]);

  const reload = useMemo(() => () => setRound((old) => old + 1), []);
  return { ...state, reload };
}

function remember(all: Map<string, StripFacts>, key: string, facts: StripFacts): void {
  all.delete(key);
  all.set(key, facts);
  const oldest = all.keys().next();
  if (all.size > REMEMBERED_MAX && oldest.done !== true) all.delete(oldest.value);
}

/** What is kept of a volume, from what the API says of it. */
export function keptFacts(volume: WireVolume, retention: WireRetention): KeptFacts {
  const createdAt = microsOf(volume.createdAt);
  return {
    createdAt,
    // The record that dates the creation is a little younger than the creation itself.
    everyWriteFrom:
      retention.everyWriteFrom.lsn <= volume.createdLsn ? createdAt : microsOf(retention.everyWriteFrom.time),
    points: retention.points.map(({ time, lsn, why }) => ({ time: microsOf(time), lsn, why })),
    keptFor: retention.policy === undefined ? undefined : retention.policy.allSeconds * SECOND,
  };
}

/**
 * The appliance's present, in microseconds: where a timeline ends that is asked for without an end. It is older when it arrives and never newer, so that no
 * moment which is chosen by it lies in the appliance's future.
 */
export async function presentAt(volume: string): Promise<number> {
  return microsOf((await api.timeline(volume, { from: "-1s", buckets: 1 })).to);
}

export interface HistoryOf {
  volumes: WireVolume[];
  kept: KeptFacts;
  /** By how much the appliance's clock is ahead of the browser's, in microseconds: the newest moment is by the former. */
  ahead: number;
}

/** Volumes with what is kept of them all. */
export async function loadHistory(names: readonly string[]): Promise<HistoryOf> {
  const all = await Promise.all(
    names.map(async (name) => {
      const [volume, retention] = await Promise.all([api.volume(name), api.retention(name)]);
      return { volume, kept: keptFacts(volume, retention) };
    }),
  );
  const kept = keptOfAll(all.map((each) => each.kept));
  const [first] = all;
  if (!kept || !first) throw new RangeError("a history is of at least one volume");
  const present = await presentAt(first.volume.name);
  return { volumes: all.map((each) => each.volume), kept, ahead: present - Date.now() * 1000 };
}

/** The moment that is chosen on the strip, resolved by the appliance: its LSN, whether it is a flush point, and what changed around it. */
import { useEffect, useState } from "preact/hooks";
import type { WireMoment } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { changesAround, type Around, type Created } from "./around.ts";
import { presentAt } from "./strip-data.ts";
import { microsOf, wireTime } from "./time.ts";
import { choiceText, type Choice } from "./words.ts";

/** A handle that is being dragged asks for nothing until it rests. */
const SETTLE_MS = 120;
/** Counting what changed is more work than resolving a moment. */
const AROUND_SETTLE_MS = 350;

export interface ChosenMoment {
  moment: WireMoment | undefined;
  error: unknown;
  /** What is there is still that of the choice before: to be looked at, and not to be acted on. */
  isStale: boolean;
}

/** @param choice - undefined: none is chosen */
export function useMoment(volume: string, choice: Choice | undefined): ChosenMoment {
  const [state, setState] = useState<Omit<ChosenMoment, "isStale"> & { of: string }>({
    moment: undefined,
    error: undefined,
    of: "",
  });
  const at = choice === undefined ? "" : choiceText(choice, wireTime);
  useEffect(() => {
    if (at === "") return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api.resolve(volume, at, stop.signal).then(
        (moment) => stop.signal.aborted || setState({ moment, error: undefined, of: `${volume}@${at}` }),
        (error: unknown) => stop.signal.aborted || setState({ moment: undefined, error, of: `${volume}@${at}` }),
      );
    }, SETTLE_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [volume, at]);
  return { moment: state.moment, error: state.error, isStale: state.of !== `${volume}@${at}` };
}

export type AroundState = { kind: "counting" } | { kind: "known"; around: Around } | { kind: "failed"; error: unknown };

/** @param enabled - whoever may not read data may not compare it either */
export function useAround(
  volume: string,
  moment: WireMoment | undefined,
  created: Created,
  enabled: boolean,
): AroundState {
  const [state, setState] = useState<AroundState>({ kind: "counting" });
  const lsn = moment?.lsn;
  useEffect(() => {
    if (!moment || !enabled) return undefined;
    setState({ kind: "counting" });
    const stop = new AbortController();
    const timer = setTimeout(() => {
      const query = { volume, lsn: moment.lsn, time: microsOf(moment.time), created, now: Date.now() * 1000 };
      changesAround(api, query, stop.signal).then(
        (around) => stop.signal.aborted || setState({ kind: "known", around }),
        (error: unknown) => stop.signal.aborted || setState({ kind: "failed", error }),
      );
    }, AROUND_SETTLE_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [volume, lsn, created.lsn, enabled]);
  return state;
}

/** What a moment in text means, such as a bookmark, `now`, or what an address names. */
export async function choiceAt(volume: string, at: string): Promise<Choice> {
  const moment = await api.resolve(volume, at);
  return { time: microsOf(moment.time), lsn: moment.lsn };
}

export async function resolvedLsn(volume: string, choice: Choice): Promise<number> {
  return choice.lsn ?? (await api.resolve(volume, wireTime(choice.time))).lsn;
}

/** @param at - a moment, from an address for instance; the present without one @returns why it could not be taken */
export function useInitialChoice(volume: string, at: string | undefined, set: (choice: Choice) => void): unknown {
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    let isWanted = true;
    const take = async (): Promise<void> => {
      try {
        const choice = at === undefined ? { time: await presentAt(volume) } : await choiceAt(volume, at);
        if (isWanted) set(choice);
      } catch (cause) {
        if (!isWanted) return;
        setError(cause);
        if (at !== undefined) set({ time: await presentAt(volume) });
      }
    };
    take().catch(setError);
    return () => {
      isWanted = false;
    };
  }, [volume, at]);
  return error;
}

/**
 * The flush point before or after a moment. @returns undefined: there is none
 * @param from - an LSN, exclusive
 */
export async function flushPointBeside(
  volume: string,
  from: number,
  direction: -1 | 1,
): Promise<{ lsn: number; time: number } | undefined> {
  const page = await api.flushPoints(volume, { ...(direction < 0 ? { before: from } : { after: from }), limit: 1 });
  const point = page.flushPoints[0];
  return point && { lsn: point.lsn, time: microsOf(point.time) };
}

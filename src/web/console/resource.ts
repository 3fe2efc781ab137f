/**
 * What a page shows comes from the appliance: loaded when the page appears or what it depends on changes, reloaded on demand, and where asked for every
 * few seconds while the page is seen. A later answer never overwrites a newer one, and an answer to a page that is gone is dropped.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Resource<Value> {
  /** The newest answer; kept while it is loaded again and when that fails. */
  value: Value | undefined;
  /** Why the newest attempt failed; undefined again after one that did not. */
  error: unknown;
  /** An attempt is under way. */
  loading: boolean;
  reload: () => void;
}

export interface ResourceOptions {
  /** Load again after so many milliseconds; never faster than the appliance answers, and not while the page is hidden. */
  everyMs?: number;
  /** A change of what it depends on keeps the value until the new one is there: for more of the same list. */
  keep?: boolean;
}

/**
 * @param load - gets a signal that is aborted when its answer is no longer wanted
 * @param deps - a change of one forgets the value and loads anew
 */
export function useResource<Value>(
  load: (signal: AbortSignal) => Promise<Value>,
  deps: readonly unknown[],
  options: ResourceOptions = {},
): Resource<Value> {
  const [state, setState] = useState<Omit<Resource<Value>, "reload">>({
    value: undefined,
    error: undefined,
    loading: true,
  });
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const { everyMs, keep = false } = options;

  // What another name or range loaded is not what is asked for now.
  useEffect(() => {
    if (!keep) setState({ value: undefined, error: undefined, loading: true });
  }, deps);

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => {
      if (everyMs === undefined || stop.signal.aborted) return;
      timer = setTimeout(() => void (document.hidden ? again() : attempt()), everyMs);
    };
    const attempt = async (): Promise<void> => {
      setState((old) => ({ ...old, loading: true }));
      try {
        const value = await latest.current(stop.signal);
        if (!stop.signal.aborted) setState({ value, error: undefined, loading: false });
      } catch (error) {
        if (!stop.signal.aborted) setState((old) => ({ ...old, error, loading: false }));
      }
      again();
    };
    void attempt();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [...deps, round, everyMs]);

  const reload = useCallback(() => setRound((old) => old + 1), []);
  return { ...state, reload };
}

export interface Action<Words extends unknown[]> {
  /** Does it once at a time. @returns whether it succeeded */
  run: (...words: Words) => Promise<boolean>;
  busy: boolean;
  /** Why the newest attempt failed. */
  error: unknown;
  clear: () => void;
}

/** Something that a person asks for by a button: its being under way, and why it failed. */
export function useAction<Words extends unknown[]>(work: (...words: Words) => Promise<void>): Action<Words> {
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: undefined });
  const running = useRef(false);
  const latest = useRef(work);
  latest.current = work;
  const run = useCallback(async (...words: Words): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setState({ busy: true, error: undefined });
    try {
      await latest.current(...words);
      setState({ busy: false, error: undefined });
      return true;
    } catch (error) {
      setState({ busy: false, error });
      return false;
    } finally {
      running.current = false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false, error: undefined }), []);
  return { ...state, run, clear };
}

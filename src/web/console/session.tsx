/**
 * Who sits before the console: asked once at the start, changed by signing in and out, and lost when the appliance says so. Pages take from here what
 * they may show; the appliance decides what is allowed.
 */
import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useState } from "preact/hooks";
import { isSternwayError } from "../../base/errors.ts";
import type { OperationId } from "../../contract/contract.ts";
import type { WireSession, WireSetup } from "../../contract/access.ts";
import { roleMay } from "../../contract/rights.ts";
import { api, bindCsrfToken, onSignInNeeded } from "./api.ts";

export type SessionState =
  | { kind: "asking" }
  | { kind: "unreachable"; error: unknown }
  /** There is no account yet. */
  | { kind: "first-run" }
  /** `ended`: there was a session until now. */
  | { kind: "signed-out"; ended: boolean; setup: WireSetup }
  | { kind: "signed-in"; who: WireSession };

export interface SessionHandle {
  state: SessionState;
  /** Asks the appliance anew who this is. */
  refresh: () => Promise<void>;
  /** Goes on with a session that the appliance has just given. */
  begin: (session: WireSession) => void;
  signOut: () => Promise<void>;
}

const Context = createContext<SessionHandle | undefined>(undefined);

export function SessionProvider({ children }: { children: ComponentChildren }) {
  const [state, setState] = useState<SessionState>({ kind: "asking" });

  const begin = useCallback((session: WireSession): void => {
    bindCsrfToken(session.csrf);
    rememberSession(true);
    setState({ kind: "signed-in", who: session });
  }, []);

  const leave = useCallback(async (ended: boolean): Promise<void> => {
    bindCsrfToken(undefined);
    rememberSession(false);
    try {
      const setup = await api.setup();
      setState(setup.isSetUp ? { kind: "signed-out", ended, setup } : { kind: "first-run" });
    } catch (error) {
      setState({ kind: "unreachable", error });
    }
  }, []);

  const refresh = useCallback(async (): Promise<void> => {
    try {
      if (await mayHaveSession()) begin(await api.session());
      else await leave(false);
    } catch (error) {
      if (isSternwayError(error, "denied")) await leave(false);
      else setState({ kind: "unreachable", error });
    }
  }, []);

  const signOut = useCallback(async (): Promise<void> => {
    await api.signOut();
    await leave(false);
  }, []);

  useEffect(() => {
    onSignInNeeded(() =>
      setState((old) => {
        if (old.kind !== "signed-in") return old;
        void leave(true);
        return { kind: "asking" };
      }),
    );
    void refresh();
  }, []);

  return <Context.Provider value={{ state, refresh, begin, signOut }}>{children}</Context.Provider>;
}

const KEY = "sternway-session";

/** Notes whether there is a session; its cookie itself is kept from scripts. */
function rememberSession(isThere: boolean): void {
  try {
    if (isThere) localStorage.setItem(KEY, "1");
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing for us is asked by a request instead.
    return;
  }
}

/** Asking for a session that cannot be there would be noted as a refused attempt, by the appliance's audit and the browser's console. */
async function mayHaveSession(): Promise<boolean> {
  try {
    if (localStorage.getItem(KEY) !== null) return true;
  } catch {
    return true;
  }
  // Who comes back from the provider has a session of which this page knows nothing yet.
  return (await api.setup()).oidc;
}

/** The session, and what changes it. */
export function useSession(): SessionHandle {
  const handle = useContext(Context);
  if (!handle) throw new Error("the session is asked for outside of its provider");
  return handle;
}

/** Who is signed in; only pages behind the sign-in ask. */
export function useWho(): WireSession {
  const { state } = useSession();
  if (state.kind !== "signed-in") throw new Error("a page was drawn for nobody");
  return state.who;
}

/** Whether whoever is signed in may use an operation. */
export function useMay(): (operation: OperationId) => boolean {
  const { role } = useWho();
  return (operation) => roleMay(role, operation);
}

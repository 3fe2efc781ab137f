/** Signing in: by name and password, then by the code of the second factor where there is one, or through the provider. */
import type { WireSetup } from "../../../contract/access.ts";
import { isSternwayError } from "../../../base/errors.ts";
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api.ts";
import { Brand } from "../frame.tsx";
import { Button } from "../parts/button.tsx";
import { TextField } from "../parts/field.tsx";
import { Notice, Trouble } from "../parts/notice.tsx";
import { useAction } from "../resource.ts";
import { usePlace } from "../route.ts";
import { useSession } from "../session.tsx";

/** Why the provider's way failed, as the appliance tells it in the address. */
const PROVIDER_TROUBLE: Record<string, string> = {
  expired: "It took too long, or was begun in another window. Try again.",
  refused: "The provider refused, or its answer does not count.",
  role: "The provider knows you, but you have no role on this appliance. Ask an administrator.",
  name: "Your name at the provider is taken here, or is not possible. Ask an administrator.",
  provider: "The provider is out of reach. Sign in by password, or try later.",
};

export function SignIn({ ended, setup }: { ended: boolean; setup: WireSetup }) {
  const { begin } = useSession();
  const { query } = usePlace();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [needsCode, setNeedsCode] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    document.title = "Sign in · Sternway";
    form.current?.querySelector("input")?.focus();
  }, []);
  useEffect(() => {
    if (needsCode) form.current?.querySelector<HTMLInputElement>("input[autocomplete='one-time-code']")?.focus();
  }, [needsCode]);
  const signIn = useAction(async () => {
    try {
      begin(
        await api.signIn({
          name: name.trim().toLowerCase(),
          password,
          ...(needsCode ? { code: code.trim() } : {}),
        }),
      );
    } catch (error) {
      if (!needsCode && isSternwayError(error) && error.facts["needsCode"] === true) setNeedsCode(true);
      else throw error;
    }
  });
  const reason = query.get("sign-in");
  return (
    <main class="alone" id="main">
      <Brand />
      <div class="alone-card">
        <h1>Sign in</h1>
        {ended && <Notice live>Your session has ended. Sign in again to go on where you were; nothing is lost.</Notice>}
        {reason !== null && (
          <Notice tone="bad" live title="Signing in through the provider did not work">
            {PROVIDER_TROUBLE[reason] ?? "Try again, or sign in by password."}
          </Notice>
        )}
        <form
          ref={form}
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void signIn.run();
          }}
        >
          <TextField
            label="Name"
            value={name}
            onInput={setName}
            autocomplete="username"
            required
            disabled={needsCode}
          />
          <TextField
            label="Password"
            type="password"
            value={password}
            onInput={setPassword}
            autocomplete="current-password"
            required
            disabled={needsCode}
          />
          {needsCode && (
            <TextField
              label="Code"
              hint="Six digits from your authenticator, or one of your recovery codes"
              value={code}
              onInput={setCode}
              autocomplete="one-time-code"
              inputMode="text"
              mono
              required
            />
          )}
          <Trouble error={signIn.error} />
          <Button type="submit" kind="primary" busy={signIn.busy}>
            Sign in
          </Button>
          {needsCode && (
            <Button
              kind="quiet"
              onClick={() => {
                setNeedsCode(false);
                setCode("");
                signIn.clear();
              }}
            >
              Somebody else
            </Button>
          )}
        </form>
        {setup.oidc && !needsCode && (
          <a class="button" href="/v1/oidc/start">
            Sign in through your organisation
          </a>
        )}
      </div>
    </main>
  );
}

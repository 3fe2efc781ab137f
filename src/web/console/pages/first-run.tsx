/** The first page of a new appliance: its first administrator, made with the code that its terminal shows. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api.ts";
import { Brand } from "../frame.tsx";
import { Button } from "../parts/button.tsx";
import { TextField } from "../parts/field.tsx";
import { Trouble } from "../parts/notice.tsx";
import { passwordTrouble } from "../passwords.ts";
import { useAction } from "../resource.ts";
import { navigate } from "../route.ts";
import { useSession } from "../session.tsx";

export function FirstRun() {
  const { begin } = useSession();
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  useEffect(() => {
    document.title = "Set up · Sternway";
  }, []);
  const setUp = useAction(async () => {
    const session = await api.setUp({ code: code.trim(), name: name.trim().toLowerCase(), password });
    navigate("/protect", { replace: true });
    begin(session);
  });
  const weak = passwordTrouble(password);
  const differs = again !== "" && again !== password;
  const isReady =
    code.trim() !== "" && name.trim() !== "" && password !== "" && weak === undefined && again === password;
  return (
    <main class="alone" id="main">
      <Brand />
      <div class="alone-card">
        <div class="stack-tight">
          <h1>Set up this appliance</h1>
          <p class="quiet">
            First make an account for yourself: it is an administrator and may do everything. Then protect a disk. Both
            take a few minutes.
          </p>
        </div>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void setUp.run();
          }}
        >
          <TextField
            label="Set-up code"
            hint={
              <>
                The terminal where Sternway was started shows it; so does <code>sternway setup --show-code</code>.
              </>
            }
            value={code}
            onInput={setCode}
            autocomplete="off"
            placeholder="XXXX-XXXX-XXXX"
            mono
            required
          />
          <TextField
            label="Your name"
            hint="Small letters and digits, such as anna"
            value={name}
            onInput={setName}
            autocomplete="username"
            required
          />
          <TextField
            label="Password"
            hint="At least 10 characters. Several words are easier than signs."
            type="password"
            value={password}
            onInput={setPassword}
            error={password === "" ? undefined : weak}
            autocomplete="new-password"
            required
          />
          <TextField
            label="Password once more"
            type="password"
            value={again}
            onInput={setAgain}
            error={differs ? "It is not the same." : undefined}
            autocomplete="new-password"
            required
          />
          <Trouble error={setUp.error} />
          <Button type="submit" kind="primary" busy={setUp.busy} disabled={!isReady}>
            Make the account
          </Button>
        </form>
      </div>
    </main>
  );
}

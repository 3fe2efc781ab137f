/** One's own account: who one is, the password, the second factor, and the look of the console in this browser. */
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { OpenSessions } from "../open-sessions.tsx";
import { Button } from "../parts/button.tsx";
import { Copyable } from "../parts/copyable.tsx";
import { Dialog, FormDialog } from "../parts/dialog.tsx";
import { ChoiceField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Badge, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { passwordTrouble } from "../passwords.ts";
import { QrPicture } from "../qr-picture.tsx";
import { useAction } from "../resource.ts";
import { useSession, useWho } from "../session.tsx";
import { useTheme } from "../theme.ts";
import { listed } from "../words.ts";
import { ROLE_WORDS } from "../role-words.ts";

export function Account() {
  const who = useWho();
  const [open, setOpen] = useState<"" | "password" | "totp-on" | "totp-off">("");
  const [theme, setTheme] = useTheme();
  const hasPassword = who.signsInBy === "password";
  return (
    <Page title="Your account">
      {who.secondFactor === "required" && (
        <Notice tone="warn" live title="You need a second factor first">
          This appliance asks it of every administrator. Set it up below; until then nothing else can be used.
        </Notice>
      )}
      <Card title={who.name}>
        <Facts
          of={[
            ["Role", `${who.role}: ${ROLE_WORDS[who.role]}`],
            ["Your machines", who.role === "self-service" ? listed(who.machines, 20) || "none yet" : undefined],
            ["Signed in until", who.endsAt && <Time at={who.endsAt} as="local" />],
          ]}
        />
      </Card>
      {hasPassword && (
        <Card title="Password">
          <p class="quiet">Changing it ends your sessions in other browsers.</p>
          <div>
            <Button onClick={() => setOpen("password")}>Change the password</Button>
          </div>
        </Card>
      )}
      {hasPassword && (
        <Card
          title="Second factor"
          actions={
            <Badge tone={who.secondFactor === "on" ? "good" : "plain"}>
              {who.secondFactor === "on" ? "on" : "off"}
            </Badge>
          }
        >
          <p class="quiet">
            A code from an authenticator app, asked for after the password. A stolen password alone then opens nothing.
          </p>
          <div>
            {who.secondFactor === "on" ? (
              <Button kind="danger" onClick={() => setOpen("totp-off")}>
                Turn it off
              </Button>
            ) : (
              <Button kind="primary" onClick={() => setOpen("totp-on")}>
                Set it up
              </Button>
            )}
          </div>
        </Card>
      )}
      {!hasPassword && who.signsInBy === "provider" && (
        <Card title="Password and second factor">
          <p>You sign in through your organisation, which looks after both.</p>
        </Card>
      )}
      <Card title="Where you are signed in">
        <OpenSessions />
      </Card>
      <Card title="Look">
        <ChoiceField
          label="Colours in this browser"
          value={theme}
          onInput={setTheme}
          choices={[
            { value: "system", label: "As the system" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
        />
      </Card>
      {open === "password" && <ChangePassword onClose={() => setOpen("")} />}
      {open === "totp-on" && <TurnTotpOn onClose={() => setOpen("")} />}
      {open === "totp-off" && <TurnTotpOff onClose={() => setOpen("")} />}
    </Page>
  );
}

function ChangePassword({ onClose }: { onClose: () => void }) {
  const { begin } = useSession();
  const [old, setOld] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const weak = passwordTrouble(password);
  return (
    <FormDialog
      title="Change the password"
      submit="Change it"
      disabled={old === "" || weak !== undefined || again !== password}
      onClose={onClose}
      onSubmit={async () => begin(await api.changePassword(old, password))}
    >
      <TextField
        label="Present password"
        type="password"
        value={old}
        onInput={setOld}
        autocomplete="current-password"
      />
      <TextField
        label="New password"
        hint="At least 10 characters"
        type="password"
        value={password}
        onInput={setPassword}
        error={password === "" ? undefined : weak}
        autocomplete="new-password"
      />
      <TextField
        label="New password once more"
        type="password"
        value={again}
        onInput={setAgain}
        error={again !== "" && again !== password ? "It is not the same." : undefined}
        autocomplete="new-password"
      />
    </FormDialog>
  );
}

/** Three steps: the password, the authenticator, and the recovery codes, which are shown once. */
function TurnTotpOn({ onClose }: { onClose: () => void }) {
  const { refresh } = useSession();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [begun, setBegun] = useState<{ secret: string; uri: string } | undefined>(undefined);
  const [codes, setCodes] = useState<string[] | undefined>(undefined);
  const begin = useAction(async () => setBegun(await api.beginTotp(password)));
  const confirm = useAction(async () => setCodes((await api.confirmTotp(code.trim())).recoveryCodes));
  const step = codes ? 3 : begun ? 2 : 1;
  return (
    <Dialog title={`Second factor, step ${step} of 3`} onClose={codes ? () => {} : onClose}>
      {!begun && (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void begin.run();
          }}
        >
          <TextField
            label="Your password"
            type="password"
            value={password}
            onInput={setPassword}
            autocomplete="current-password"
          />
          <Trouble error={begin.error} />
          <div class="row-end">
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={begin.busy} disabled={password === ""}>
              Next
            </Button>
          </div>
        </form>
      )}
      {begun && !codes && (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void confirm.run();
          }}
        >
          <p>
            Add an account in your authenticator app: let its camera read this picture, or type the key. On a phone{" "}
            <a href={begun.uri}>this link</a> opens the app.
          </p>
          <QrPicture text={begun.uri} label="QR code that holds the key below" />
          <Copyable text={begun.secret.replaceAll(/(.{4})(?=.)/g, "$1 ")} label="the key" />
          <TextField
            label="Code that the app shows"
            value={code}
            onInput={setCode}
            autocomplete="one-time-code"
            inputMode="numeric"
            mono
          />
          <Trouble error={confirm.error} />
          <div class="row-end">
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={confirm.busy} disabled={code.trim() === ""}>
              Turn it on
            </Button>
          </div>
        </form>
      )}
      {codes && (
        <div class="stack">
          <Notice tone="warn" live title="Keep these recovery codes">
            Each signs you in once when the app is lost. They are not shown again.
          </Notice>
          <Copyable text={codes.join("\n")} label="the recovery codes" />
          <div class="row-end">
            <Button
              kind="primary"
              onClick={() => {
                onClose();
                void refresh();
              }}
            >
              I have kept them
            </Button>
          </div>
        </div>
      )}
    </Dialog>
  );
}

function TurnTotpOff({ onClose }: { onClose: () => void }) {
  const { refresh } = useSession();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  return (
    <FormDialog
      title="Turn the second factor off"
      submit="Turn it off"
      kind="danger-filled"
      disabled={password === "" || code.trim() === ""}
      onClose={onClose}
      onSubmit={async () => {
        await api.turnTotpOff(password, code.trim());
        await refresh();
      }}
    >
      <p>After this the password alone signs you in.</p>
      <TextField
        label="Your password"
        type="password"
        value={password}
        onInput={setPassword}
        autocomplete="current-password"
      />
      <TextField
        label="Code"
        hint="From your authenticator, or a recovery code"
        value={code}
        onInput={setCode}
        autocomplete="one-time-code"
        mono
      />
    </FormDialog>
  );
}

/** Making and changing a channel of notifications. What the form does not show stays as it is. */
import type { SetChannelInput, WireChannel, WireChannelMade } from "../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { AreaField, CheckField, ChoiceField, SelectField, TextField } from "./parts/field.tsx";

type Security = "starttls" | "tls" | "none";
const PORTS: Record<Security, string> = { starttls: "587", tls: "465", none: "25" };

export function ChannelForm(props: {
  /** The channel that is changed; absent: one is made. */
  before?: WireChannel | undefined;
  onClose: () => void;
  onMade: (made: WireChannelMade) => void;
}) {
  const { before, onClose, onMade } = props;
  const mail = before?.kind === "email" ? before : undefined;
  const hook = before?.kind === "webhook" ? before : undefined;
  const [kind, setKind] = useState<"email" | "webhook">(before?.kind ?? "email");
  const [name, setName] = useState(before?.name ?? "");
  const [host, setHost] = useState(mail?.host ?? "");
  const [security, setSecurity] = useState<Security>(mail?.security ?? "starttls");
  const [port, setPort] = useState(mail === undefined ? PORTS.starttls : String(mail.port));
  const [user, setUser] = useState(mail?.user ?? "");
  const [password, setPassword] = useState("");
  const [from, setFrom] = useState(mail?.from ?? "");
  const [to, setTo] = useState(mail?.to.join("\n") ?? "");
  const [url, setUrl] = useState(hook?.url ?? "");
  const [plaintext, setPlaintext] = useState(hook?.plaintext ?? false);
  const [renewSecret, setRenewSecret] = useState(false);
  const [brief, setBrief] = useState(before?.details === "brief");
  const [enabled, setEnabled] = useState(before?.enabled ?? true);
  const recipients = to.split(/[\s,;]+/).filter((each) => each !== "");
  const common = {
    details: brief ? ("brief" as const) : ("full" as const),
    enabled,
    ...(before === undefined ? {} : { hourlyMax: before.hourlyMax, gatherSeconds: before.gatherSeconds }),
    ...(before?.ca === undefined ? {} : { ca: before.ca }),
  };
  const isClear = url.trim().toLowerCase().startsWith("http://");
  const settings: SetChannelInput =
    kind === "webhook"
      ? { ...common, kind, url: url.trim(), plaintext: isClear && plaintext, ...(renewSecret ? { renewSecret } : {}) }
      : {
          ...common,
          kind,
          host: host.trim(),
          port: Number(port),
          security,
          from: from.trim(),
          to: recipients,
          ...(mail?.serverName === undefined ? {} : { serverName: mail.serverName }),
          ...signInOf(user.trim(), password, security, mail !== undefined),
        };
  const isPort = /^\d{1,5}$/.test(port.trim()) && Number(port) >= 1 && Number(port) <= 65_535;
  const isReady =
    name.trim() !== "" &&
    (kind === "webhook"
      ? url.trim() !== ""
      : isPort && host.trim() !== "" && from.trim() !== "" && recipients.length > 0);
  return (
    <FormDialog
      wide
      title={before === undefined ? "Add a channel" : `Change channel ${before.name}`}
      submit={before === undefined ? "Add it" : "Change it"}
      disabled={!isReady}
      onClose={onClose}
      onSubmit={async () =>
        onMade(
          before === undefined
            ? await api.createChannel({ name: name.trim(), ...settings })
            : await api.setChannel(before.name, settings),
        )
      }
    >
      {before === undefined ? (
        <>
          <TextField label="Name" hint="Such as on-call" value={name} onInput={setName} />
          <ChoiceField
            label="Kind"
            value={kind}
            onInput={setKind}
            choices={[
              { value: "email", label: "E-mail" },
              { value: "webhook", label: "Webhook", hint: "a signed call to a program of yours" },
            ]}
          />
        </>
      ) : (
        <CheckField
          label="Switched on"
          hint="While it is off nothing is sent through it"
          checked={enabled}
          onInput={setEnabled}
        />
      )}
      {kind === "webhook" ? (
        <>
          <TextField
            label="Address"
            placeholder="https://hooks.example.org/sternway"
            value={url}
            onInput={setUrl}
            mono
          />
          {isClear && (
            <CheckField
              label="In the clear"
              hint="Over http:// others on the way can read it"
              checked={plaintext}
              onInput={setPlaintext}
            />
          )}
          {before !== undefined && (
            <CheckField
              label="Make another secret"
              hint="It is shown once; the receiver must know it, for the old one signs no more"
              checked={renewSecret}
              onInput={setRenewSecret}
            />
          )}
        </>
      ) : (
        <>
          <div class="fields">
            <TextField label="Mail server" placeholder="mail.example.org" value={host} onInput={setHost} />
            <SelectField
              label="Encryption"
              value={security}
              onInput={(chosen) => {
                setSecurity(chosen);
                setPort(PORTS[chosen]);
              }}
              choices={[
                { value: "starttls", label: "STARTTLS" },
                { value: "tls", label: "TLS from the start" },
                { value: "none", label: "none: in the clear" },
              ]}
            />
            <TextField
              label="Port"
              inputMode="numeric"
              value={port}
              onInput={setPort}
              error={isPort ? undefined : "From 1 to 65535."}
            />
          </div>
          {security !== "none" && (
            <div class="fields">
              <TextField
                label="User"
                hint="If the server asks for one"
                value={user}
                onInput={setUser}
                autocomplete="off"
              />
              <TextField
                label="Password"
                hint={
                  mail?.hasSecret === true
                    ? "Empty: as it is. Needed again when the server or the user changes."
                    : undefined
                }
                type="password"
                value={password}
                onInput={setPassword}
                autocomplete="new-password"
              />
            </div>
          )}
          <TextField label="From" type="email" placeholder="sternway@example.org" value={from} onInput={setFrom} />
          <AreaField label="To" hint="One or several addresses" value={to} onInput={setTo} rows={2} />
        </>
      )}
      <CheckField
        label="Brief"
        hint="Leaves out names and messages, for channels that others read too"
        checked={brief}
        onInput={setBrief}
      />
    </FormDialog>
  );
}

/**
 * Who signs in at the mail server. A channel that signed in and does so no longer is told to forget its password; one whose password is left empty keeps it.
 */
function signInOf(
  user: string,
  password: string,
  security: Security,
  isChange: boolean,
): { user?: string; password?: string | null } {
  if (user === "" || security === "none") return isChange ? { password: null } : {};
  return password === "" && isChange ? { user } : { user, password };
}

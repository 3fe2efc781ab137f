/** Making and changing channels and rules of notifications. What a form does not show stays as it is. */
import { EVENT_TOPICS, type EventLevel, type EventTopic } from "../../contract/event-kinds.ts";
import type {
  RuleSettingsInput,
  SetChannelInput,
  WireChannel,
  WireChannelMade,
  WireRule,
} from "../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { AreaField, CheckField, CheckList, ChoiceField, SelectField, TextField } from "./parts/field.tsx";
import { localZone } from "./timeline/time.ts";

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
  const isReady =
    name.trim() !== "" &&
    (kind === "webhook" ? url.trim() !== "" : host.trim() !== "" && from.trim() !== "" && recipients.length > 0);
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
            <TextField label="Port" inputMode="numeric" value={port} onInput={setPort} />
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

export function RuleForm(props: {
  /** The rule that is changed; absent: one is made. */
  before?: WireRule | undefined;
  channels: readonly string[];
  onClose: () => void;
  onDone: () => void;
}) {
  const { before } = props;
  const quiet = before?.quiet;
  const [name, setName] = useState(before?.name ?? "");
  const [level, setLevel] = useState<EventLevel>(before?.level ?? "warning");
  const [topics, setTopics] = useState<string[]>(before?.topics ?? []);
  const [channels, setChannels] = useState<string[]>(
    before?.channels ?? (props.channels.length === 1 ? [...props.channels] : []),
  );
  const [about, setAbout] = useState((before?.about ?? []).join(", "));
  const [isQuiet, setIsQuiet] = useState(quiet !== undefined);
  const [from, setFrom] = useState(quiet?.from ?? "22:00");
  const [to, setTo] = useState(quiet?.to ?? "07:00");
  const [enabled, setEnabled] = useState(before?.enabled ?? true);
  const subjects = about.split(/[\s,;]+/).filter((each) => each !== "");
  // A rule without a zone of its own goes by the appliance's, and stays so.
  const zone = quiet === undefined ? localZone() : quiet.zone;
  const settings: RuleSettingsInput = {
    channels,
    level,
    enabled,
    ...(before === undefined ? {} : { remindHours: before.remindHours }),
    ...(before?.kinds === undefined ? {} : { kinds: before.kinds }),
    ...(topics.length === 0 ? {} : { topics: topics.filter(isTopic) }),
    ...(subjects.length === 0 ? {} : { about: subjects }),
    ...(isQuiet
      ? {
          quiet: {
            from,
            to,
            ...(zone === undefined ? {} : { zone }),
            ...(quiet === undefined ? {} : { alsoAlerts: quiet.alsoAlerts }),
          },
        }
      : {}),
  };
  const isNarrow = topics.length > 0 || subjects.length > 0 || isQuiet;
  return (
    <FormDialog
      wide
      title={before === undefined ? "Add a rule" : `Change rule ${before.name}`}
      submit={before === undefined ? "Add it" : "Change it"}
      disabled={name.trim() === "" || channels.length === 0}
      onClose={props.onClose}
      onSubmit={async () => {
        if (before === undefined) await api.createRule(name.trim(), settings);
        else await api.setRule(before.name, settings);
        props.onDone();
      }}
    >
      {before === undefined ? (
        <TextField label="Name" hint="Such as troubles-to-on-call" value={name} onInput={setName} />
      ) : (
        <CheckField
          label="Switched on"
          hint="While it is off it tells nobody anything"
          checked={enabled}
          onInput={setEnabled}
        />
      )}
      <SelectField
        label="Tell"
        value={level}
        onInput={setLevel}
        choices={[
          { value: "info", label: "everything" },
          { value: "warning", label: "warnings and alerts" },
          { value: "alert", label: "alerts only" },
        ]}
      />
      <CheckList label="To" choices={props.channels} chosen={channels} onInput={setChannels} />
      <details open={before !== undefined && isNarrow}>
        <summary>Only some topics, subjects or hours</summary>
        <div class="stack">
          <CheckList
            label="Topics"
            hint="None chosen: all"
            choices={EVENT_TOPICS}
            chosen={topics}
            onInput={setTopics}
          />
          <TextField
            label="About"
            hint="Names of volumes, machines, vaults or tiers; empty: whatever it is about"
            value={about}
            onInput={setAbout}
          />
          <CheckField
            label="Quiet hours"
            hint="What comes then is gathered and sent at their end; alerts come at once"
            checked={isQuiet}
            onInput={setIsQuiet}
          />
          {isQuiet && (
            <div class="fields">
              <TextField label="From" type="time" value={from} onInput={setFrom} />
              <TextField
                label="To"
                type="time"
                hint={zone ?? "by the appliance’s time zone"}
                value={to}
                onInput={setTo}
              />
            </div>
          )}
        </div>
      </details>
    </FormDialog>
  );
}

const isTopic = (text: string): text is EventTopic => EVENT_TOPICS.some((topic) => topic === text);

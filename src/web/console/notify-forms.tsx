/** Making channels and rules of notifications. */
import { EVENT_TOPICS, type EventLevel, type EventTopic } from "../../contract/event-kinds.ts";
import type { CreateChannelInput, WireChannelMade } from "../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { AreaField, CheckField, CheckList, ChoiceField, SelectField, TextField } from "./parts/field.tsx";

type Security = "starttls" | "tls" | "none";
const PORTS: Record<Security, string> = { starttls: "587", tls: "465", none: "25" };

export function ChannelForm({ onClose, onMade }: { onClose: () => void; onMade: (made: WireChannelMade) => void }) {
  const [kind, setKind] = useState<"email" | "webhook">("email");
  const [name, setName] = useState("");
  const [host, setHost] = useState("");
  const [security, setSecurity] = useState<Security>("starttls");
  const [port, setPort] = useState(PORTS.starttls);
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [url, setUrl] = useState("");
  const [brief, setBrief] = useState(false);
  const recipients = to.split(/[\s,;]+/).filter((each) => each !== "");
  const common = { name: name.trim(), details: brief ? ("brief" as const) : ("full" as const) };
  const wish: CreateChannelInput =
    kind === "webhook"
      ? { ...common, kind, url: url.trim() }
      : {
          ...common,
          kind,
          host: host.trim(),
          port: Number(port),
          security,
          from: from.trim(),
          to: recipients,
          ...(user.trim() === "" || security === "none" ? {} : { user: user.trim(), password }),
        };
  const isReady =
    name.trim() !== "" &&
    (kind === "webhook" ? url.trim() !== "" : host.trim() !== "" && from.trim() !== "" && recipients.length > 0);
  return (
    <FormDialog
      wide
      title="Add a channel"
      submit="Add it"
      disabled={!isReady}
      onClose={onClose}
      onSubmit={async () => onMade(await api.createChannel(wish))}
    >
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
      {kind === "webhook" ? (
        <TextField label="Address" placeholder="https://hooks.example.org/sternway" value={url} onInput={setUrl} mono />
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

export function RuleForm(props: { channels: readonly string[]; onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("");
  const [level, setLevel] = useState<EventLevel>("warning");
  const [topics, setTopics] = useState<string[]>([]);
  const [channels, setChannels] = useState<string[]>(props.channels.length === 1 ? [...props.channels] : []);
  const [about, setAbout] = useState("");
  const [isQuiet, setIsQuiet] = useState(false);
  const [from, setFrom] = useState("22:00");
  const [to, setTo] = useState("07:00");
  const subjects = about.split(/[\s,;]+/).filter((each) => each !== "");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <FormDialog
      wide
      title="Add a rule"
      submit="Add it"
      disabled={name.trim() === "" || channels.length === 0}
      onClose={props.onClose}
      onSubmit={async () => {
        await api.createRule(name.trim(), {
          channels,
          level,
          ...(topics.length === 0 ? {} : { topics: topics.filter(isTopic) }),
          ...(subjects.length === 0 ? {} : { about: subjects }),
          ...(isQuiet ? { quiet: { from, to, zone } } : {}),
        });
        props.onDone();
      }}
    >
      <TextField label="Name" hint="Such as troubles-to-on-call" value={name} onInput={setName} />
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
      <details>
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
              <TextField label="To" type="time" hint={zone} value={to} onInput={setTo} />
            </div>
          )}
        </div>
      </details>
    </FormDialog>
  );
}

const isTopic = (text: string): text is EventTopic => EVENT_TOPICS.some((topic) => topic === text);

/** Notifications: where they go, who gets what, and what became of them. */
import type { WireChannel, WireRule } from "../../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Badge, Loaded, Notice, Trouble, type Tone } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { SecretDialog } from "../parts/secret-dialog.tsx";
import { Table } from "../parts/table.tsx";
import { useAction, useResource } from "../resource.ts";
import { listed, plural, sentence } from "../words.ts";
import { ChannelForm } from "../channel-form.tsx";
import { RuleForm } from "../rule-form.tsx";
import { Deliveries } from "./deliveries.tsx";

const STATES: Record<WireChannel["state"], Tone> = { ok: "good", failing: "bad", disabled: "plain" };
/** The form that is open; with `before`, that changes what there is. */
type Open = { what: "channel"; before?: WireChannel } | { what: "rule"; before?: WireRule } | undefined;

export function Notifications() {
  const channels = useResource(() => api.channels(), [], { everyMs: 10_000 });
  const rules = useResource(() => api.rules(), []);
  const [open, setOpen] = useState<Open>(undefined);
  const close = (): void => setOpen(undefined);
  const [secret, setSecret] = useState<string | undefined>(undefined);
  const names = (channels.value ?? []).map((channel) => channel.name);
  return (
    <Page
      title="Notifications"
      intro="Who hears of what, and how. The same trouble is told once, and again when it changes or ends; bursts come as one message."
    >
      <Card
        title="Channels"
        actions={
          <Button size="small" onClick={() => setOpen({ what: "channel" })}>
            Add a channel
          </Button>
        }
      >
        <Loaded of={channels}>
          {(all) => (
            <Channels
              all={all}
              onChanged={channels.reload}
              onChange={(before) => setOpen({ what: "channel", before })}
            />
          )}
        </Loaded>
      </Card>
      <Card
        title="Rules"
        actions={
          <Button size="small" onClick={() => setOpen({ what: "rule" })} disabled={names.length === 0}>
            Add a rule
          </Button>
        }
      >
        <Loaded of={rules}>
          {(all) => (
            <Rules
              all={all}
              hasChannel={names.length > 0}
              onChanged={rules.reload}
              onChange={(before) => setOpen({ what: "rule", before })}
            />
          )}
        </Loaded>
      </Card>
      <Deliveries />
      {open?.what === "channel" && (
        <ChannelForm
          before={open.before}
          onClose={close}
          onMade={(made) => {
            channels.reload();
            setSecret(made.secret);
          }}
        />
      )}
      {open?.what === "rule" && (
        <RuleForm before={open.before} channels={names} onClose={close} onDone={rules.reload} />
      )}
      {secret !== undefined && (
        <SecretDialog
          title="The webhook’s secret"
          secret={secret}
          label="the secret"
          advice="The receiver checks by it that a call comes from this appliance."
          onClose={() => setSecret(undefined)}
        />
      )}
    </Page>
  );
}

interface ListProps<Entry> {
  all: readonly Entry[];
  onChanged: () => void;
  /** Opens the form that changes one. */
  onChange: (entry: Entry) => void;
}

function Channels({ all, onChanged, onChange }: ListProps<WireChannel>) {
  const [removing, setRemoving] = useState<string | undefined>(undefined);
  const [told, setTold] = useState<string | undefined>(undefined);
  const test = useAction(async (name: string) => {
    setTold(undefined);
    const { message } = await api.testChannel(name);
    setTold(`${name} took the test message: ${message}`);
    onChanged();
  });
  return (
    <>
      <Trouble error={test.error} title="The test message was not taken" />
      {told !== undefined && (
        <Notice tone="good" live>
          {sentence(told)}
        </Notice>
      )}
      <Table
        label="Channels"
        rows={all}
        rowKey={(channel: WireChannel) => channel.name}
        empty={<Empty>Nobody is told anything yet: events are seen in this console alone.</Empty>}
        columns={[
          { label: "Channel", cell: (channel) => channel.name },
          {
            label: "To",
            cell: (channel) => (channel.kind === "email" ? listed(channel.to, 3) : channel.url),
          },
          {
            label: "State",
            cell: (channel) => (
              <>
                <Badge tone={STATES[channel.state]}>{channel.state}</Badge>
                {channel.waiting > 0 && <span class="quiet small"> {plural(channel.waiting, "message")} waiting</span>}
                {channel.lastError !== undefined && (
                  <>
                    <br />
                    <span class="small">{sentence(channel.lastError)}</span>
                  </>
                )}
              </>
            ),
          },
          {
            label: "",
            cell: (channel) => (
              <div class="row">
                <Button
                  size="small"
                  label={`Test ${channel.name}`}
                  busy={test.busy}
                  onClick={() => void test.run(channel.name)}
                >
                  Test
                </Button>
                <Button size="small" label={`Change channel ${channel.name}`} onClick={() => onChange(channel)}>
                  Change
                </Button>
                <Button
                  size="small"
                  kind="danger"
                  label={`Remove channel ${channel.name}`}
                  onClick={() => setRemoving(channel.name)}
                >
                  Remove
                </Button>
              </div>
            ),
          },
        ]}
      />
      {removing !== undefined && (
        <Confirm
          title={`Remove channel ${removing}?`}
          submit="Remove it"
          onClose={() => setRemoving(undefined)}
          onSubmit={async () => {
            await api.deleteChannel(removing);
            onChanged();
          }}
        >
          <p>What waits for it is dropped, and rules that name it lose it.</p>
        </Confirm>
      )}
    </>
  );
}

function Rules({ all, hasChannel, onChanged, onChange }: ListProps<WireRule> & { hasChannel: boolean }) {
  const [removing, setRemoving] = useState<string | undefined>(undefined);
  return (
    <>
      <Table
        label="Rules"
        rows={all}
        rowKey={(rule: WireRule) => rule.name}
        empty={
          <Empty>
            {hasChannel ? "There is no rule: channels are told nothing." : "A rule needs a channel: add one first."}
          </Empty>
        }
        columns={[
          { label: "Rule", cell: (rule) => rule.name },
          { label: "Tells", cell: (rule) => ruleWords(rule) },
          { label: "To", cell: (rule) => listed(rule.channels) },
          {
            label: "State",
            cell: (rule) => <Badge tone={rule.enabled ? "good" : "plain"}>{rule.enabled ? "on" : "off"}</Badge>,
          },
          {
            label: "",
            cell: (rule) => (
              <div class="row">
                <Button size="small" label={`Change rule ${rule.name}`} onClick={() => onChange(rule)}>
                  Change
                </Button>
                <Button
                  size="small"
                  kind="danger"
                  label={`Remove rule ${rule.name}`}
                  onClick={() => setRemoving(rule.name)}
                >
                  Remove
                </Button>
              </div>
            ),
          },
        ]}
      />
      {removing !== undefined && (
        <Confirm
          title={`Remove rule ${removing}?`}
          submit="Remove it"
          onClose={() => setRemoving(undefined)}
          onSubmit={async () => {
            await api.deleteRule(removing);
            onChanged();
          }}
        >
          <p>Its channels are told no more of what it covers.</p>
        </Confirm>
      )}
    </>
  );
}

function ruleWords(rule: WireRule): string {
  const level = { info: "everything", warning: "warnings and alerts", alert: "alerts" }[rule.level];
  const topics = rule.topics === undefined || rule.topics.length === 0 ? "" : ` of ${listed(rule.topics)}`;
  const about = rule.about === undefined || rule.about.length === 0 ? "" : ` about ${listed(rule.about)}`;
  const quiet = rule.quiet === undefined ? "" : `; quiet from ${rule.quiet.from} to ${rule.quiet.to}`;
  return `${level}${topics}${about}${quiet}`;
}

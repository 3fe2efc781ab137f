/** One volume’s policy with what a change would do, and its lock. */
import type { WirePolicy, WireRetention } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Field, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { ButtonLink } from "../parts/link.tsx";
import { Loaded, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import {
  formOf,
  LENGTH_UNITS,
  losesSomething,
  PART_LABELS,
  PARTS,
  planSentences,
  policyWords,
  readForm,
  USUAL_POLICY,
  type LengthUnit,
  type PolicyForm,
} from "../policy-words.ts";
import { useAction, useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { useStill } from "../use-still.ts";
import { plural, spell } from "../words.ts";

export function VolumeRetention({ name }: { name: string }) {
  const retention = useResource(() => api.retention(name), [name]);
  return (
    <Page
      title={`Retention of ${name}`}
      back={{ to: "/retention", label: "Retention" }}
      actions={<ButtonLink to={`/volumes/${encodeURIComponent(name)}`}>Timeline</ButtonLink>}
    >
      <Loaded of={retention}>
        {(value) => (
          <>
            <Kept of={value} />
            <Editor key={JSON.stringify(value.policy)} name={name} of={value} onSet={retention.reload} />
            <Lock name={name} of={value} onSet={retention.reload} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Kept({ of }: { of: WireRetention }) {
  const oldest = of.points[0];
  return (
    <Card title="What is kept now">
      <Facts
        of={[
          ["Policy", policyWords(of.policy)],
          ["Every write since", <Time key="all" at={of.everyWriteFrom.time} as="local" />],
          [
            "Before that",
            oldest ? (
              <>
                {plural(of.points.length, "single moment")}, the oldest <Time at={oldest.time} as="local" />
              </>
            ) : (
              "nothing"
            ),
          ],
          ["Hours and days of", of.timeZone],
        ]}
      />
    </Card>
  );
}

function Editor({ name, of, onSet }: { name: string; of: WireRetention; onSet: () => void }) {
  const may = useMay();
  const [form, setForm] = useState<PolicyForm>(of.policy ? formOf(of.policy) : USUAL_POLICY);
  const [confirming, setConfirming] = useState<"" | "set" | "clear">("");
  const read = readForm(form);
  const policy = "policy" in read ? read.policy : undefined;
  const errors = "errors" in read ? read.errors : {};
  const still = useStill(JSON.stringify(policy));
  const plan = useResource(
    async () =>
      policy && still !== undefined ? await api.planRetention(name, JSON.parse(still) as WirePolicy) : undefined,
    [name, still],
    { keep: true },
  );
  const set = useAction(async (expire: boolean) => {
    if (!policy) return;
    await api.setRetention(name, policy, expire ? { expire } : {});
    onSet();
  });
  const isSame = policy !== undefined && JSON.stringify(policy) === JSON.stringify(of.policy);
  const loses = plan.value !== undefined && losesSomething(plan.value);
  return (
    <Card
      title={of.policy ? "The policy" : "Set a policy"}
      actions={
        of.policy &&
        may("clearRetention") && (
          <Button size="small" onClick={() => setConfirming("clear")}>
            Keep everything instead
          </Button>
        )
      }
    >
      <p class="quiet">
        Each length counts back from now: a moment an hour for two weeks, one a day for eight weeks, and so on. Leave a
        field empty for none. {!of.policy && "These are the usual lengths; nothing is set yet."}
      </p>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (loses) setConfirming("set");
          else void set.run(false);
        }}
      >
        <div class="fields">
          {PARTS.map((part) => (
            <Field key={part} label={PART_LABELS[part]} error={errors[part]}>
              {(ids) => (
                <div class="length">
                  <input
                    {...ids}
                    class="input"
                    inputMode="decimal"
                    value={form[part].count}
                    disabled={!may("setRetention")}
                    onInput={(event) =>
                      setForm({ ...form, [part]: { ...form[part], count: event.currentTarget.value } })
                    }
                  />
                  <select
                    class="input"
                    aria-label={`Unit of “${PART_LABELS[part]}”`}
                    value={form[part].unit}
                    disabled={!may("setRetention")}
                    onInput={(event) =>
                      setForm({ ...form, [part]: { ...form[part], unit: event.currentTarget.value as LengthUnit } })
                    }
                  >
                    {LENGTH_UNITS.map((unit) => (
                      <option key={unit}>{unit}</option>
                    ))}
                  </select>
                </div>
              )}
            </Field>
          ))}
        </div>
        <section aria-label="What this does now" aria-live="polite">
          {plan.value ? (
            <Notice tone={loses ? "warn" : "plain"} title={loses ? "This lets go of history" : "What this does now"}>
              {planSentences(plan.value).map((line) => (
                <p key={line}>{line}</p>
              ))}
            </Notice>
          ) : (
            <Trouble error={plan.error} />
          )}
        </section>
        <Trouble error={set.error} />
        {may("setRetention") && (
          <div>
            <Button type="submit" kind="primary" busy={set.busy} disabled={!policy || isSame}>
              Set this policy
            </Button>
          </div>
        )}
      </form>
      {confirming === "set" && plan.value && (
        <Confirm
          title={`Let go of history of ${name}?`}
          submit="Set the policy"
          name={name}
          onClose={() => setConfirming("")}
          onSubmit={async () => {
            if (!policy) return;
            await api.setRetention(name, policy, { expire: true });
            onSet();
          }}
        >
          {planSentences(plan.value).map((line) => (
            <p key={line}>{line}</p>
          ))}
        </Confirm>
      )}
      {confirming === "clear" && (
        <Confirm
          title={`Keep everything of ${name}?`}
          submit="Take the policy away"
          onClose={() => setConfirming("")}
          onSubmit={async () => {
            await api.clearRetention(name);
            onSet();
          }}
        >
          <p>From now on nothing is let go of, and the space that it takes grows with every write.</p>
        </Confirm>
      )}
    </Card>
  );
}

function Lock({ name, of, onSet }: { name: string; of: WireRetention; onSet: () => void }) {
  const may = useMay();
  const [days, setDays] = useState("");
  const [open, setOpen] = useState(false);
  const count = Number(days);
  const isValid = Number.isInteger(count) && count >= 1 && count <= 36_525;
  return (
    <Card title="Lock">
      <p>
        {of.lockSeconds > 0
          ? `Nothing younger than ${spell(of.lockSeconds)} can be let go of by anybody, not even by an administrator.`
          : "A lock keeps the newest history from everybody, also from an intruder with an administrator’s password."}
      </p>
      {may("lockRetention") && (
        <div>
          <Button onClick={() => setOpen(true)}>
            {of.lockSeconds > 0 ? "Lengthen the lock" : "Lock this history"}
          </Button>
        </div>
      )}
      {open && (
        <Confirm
          title={`Lock the history of ${name}?`}
          submit={isValid ? `Lock ${plural(count, "day")} for good` : "Lock"}
          name={name}
          onClose={() => setOpen(false)}
          onSubmit={async () => {
            if (!isValid) throw new Error("Write how many days, from 1 to 36,525.");
            await api.lockRetention(name, count * 86_400);
            onSet();
          }}
        >
          <Notice tone="warn" title="A lock can be lengthened and never shortened">
            The volume cannot be deleted, and the space that its history takes cannot be had back, before it is that
            old.
          </Notice>
          <TextField label="Days" inputMode="numeric" value={days} onInput={setDays} />
        </Confirm>
      )}
    </Card>
  );
}

/**
 * The restore wizard: what, when, where, then a review that says what will happen before anything does. What the address knows is not asked again: from a timeline it
 * begins at "where". Each decision can be changed by going back to it, and the address always tells where one is, so that it can be sent to a colleague.
 */
import { useMemo } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Badge, Loaded } from "../parts/notice.tsx";
import { Card, Page } from "../parts/page.tsx";
import { useResource } from "../resource.ts";
import { navigate, usePlace } from "../route.ts";
import { useMay } from "../session.tsx";
import { localText, localZone, zoneText } from "../timeline/time.ts";
import { planOf, type Plan, type Subject } from "./plan.ts";
import { restorePath } from "./places.ts";
import { subjectOf } from "./subjects.ts";
import { targetsFor } from "./targets.ts";
import { WhatStep } from "./what-step.tsx";
import { WhenStep } from "./when-step.tsx";

export interface RestoreWizardProps {
  volume?: string;
  machine?: string;
  /** A moment, as the API takes it. */
  at?: string;
}

/** @param props - what is decided already; what is missing is taken from the address */
export function RestoreWizard(props: RestoreWizardProps) {
  const { query } = usePlace();
  const known = {
    volume: props.volume ?? query.get("volume") ?? undefined,
    machine: props.machine ?? query.get("machine") ?? undefined,
    at: props.at ?? query.get("at") ?? undefined,
    to: query.get("to") ?? undefined,
  };
  const name = known.volume ?? known.machine;
  return (
    <Page title="Restore" intro="Get a disk back as it was. Nothing happens before you have seen what it does.">
      {name === undefined ? (
        <>
          <Steps now={1} />
          <WhatStep />
        </>
      ) : (
        <OfSubject kind={known.volume === undefined ? "machine" : "volume"} name={name} at={known.at} to={known.to} />
      )}
    </Page>
  );
}

interface OfSubjectProps {
  kind: Subject["kind"];
  name: string;
  at: string | undefined;
  to: string | undefined;
}

function OfSubject({ kind, name, at, to }: OfSubjectProps) {
  const subject = useResource(() => subjectOf(kind, name), [kind, name]);
  const place = kind === "volume" ? { volume: name } : { machine: name };
  return (
    <Loaded of={subject}>
      {(found) =>
        at === undefined ? (
          <>
            <Steps now={2} subject={found} />
            <WhenStep subject={found} onMoment={(moment) => navigate(restorePath({ ...place, at: moment }))} />
          </>
        ) : (
          <OfMoment subject={found} at={at} to={to} />
        )
      }
    </Loaded>
  );
}

function OfMoment({ subject, at, to }: { subject: Subject; at: string; to: string | undefined }) {
  const zone = useMemo(localZone, []);
  const plan = useResource(
    async (signal) => planOf(subject, at, await api.resolve(subject.volumes[0]!.name, at, signal), zone),
    [subject, at],
  );
  return <Loaded of={plan}>{(found) => <Where plan={found} to={to} at={at} />}</Loaded>;
}

function Where({ plan, at, to }: { plan: Plan; at: string; to: string | undefined }) {
  const may = useMay();
  const { subject } = plan;
  const targets = targetsFor(subject, may);
  const target = targets.find((each) => each.id === to);
  const place = subject.kind === "volume" ? { volume: subject.name } : { machine: subject.name };
  if (target) {
    const { Review } = target;
    return (
      <>
        <Steps now={4} subject={subject} plan={plan} />
        <Review plan={plan} onBack={() => navigate(restorePath({ ...place, at }))} />
      </>
    );
  }
  return (
    <>
      <Steps now={3} subject={subject} plan={plan} />
      <Card title="Where should it go?">
        <ul class="targets">
          {targets.map(({ id, title, summary, isDangerous }) => (
            <li key={id}>
              <button
                type="button"
                class="target"
                onClick={() => navigate(restorePath({ ...place, at, to: id }))}
                data-testid={`target-${id}`}
              >
                <span class="target-title">
                  {title} {isDangerous && <Badge tone="warn">changes the live disk</Badge>}
                </span>
                <span class="quiet">{summary}</span>
              </button>
            </li>
          ))}
        </ul>
        {targets.length === 0 && <p>Your role may look at this history, and not restore from it. Ask an operator.</p>}
        <div class="row-end">
          <Button onClick={() => navigate(restorePath(place))}>Choose another moment</Button>
        </div>
      </Card>
    </>
  );
}

const STEPS = ["What", "When", "Where", "Review"] as const;

/** Where one is, and what is decided. */
function Steps({ now, subject, plan }: { now: 1 | 2 | 3 | 4; subject?: Subject; plan?: Plan }) {
  const said: (string | undefined)[] = [
    subject && subject.name,
    plan && `${localText(plan.moment.time, plan.moment.zone)} ${zoneText(plan.moment.time, plan.moment.zone)}`,
  ];
  return (
    <ol class="steps" aria-label="Steps">
      {STEPS.map((step, i) => (
        <li key={step} aria-current={i + 1 === now ? "step" : undefined} class={i + 1 < now ? "step-done" : undefined}>
          <span class="step-name">{step}</span>
          {said[i] !== undefined && <span class="step-said">{said[i]}</span>}
        </li>
      ))}
    </ol>
  );
}

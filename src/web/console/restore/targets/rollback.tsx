/** Sets the live disk back. What it held stays in the history; all the same it is asked for by name, since whoever uses the disk is in for a surprise. */
import { useState } from "preact/hooks";
import { api } from "../../api.ts";
import { Button } from "../../parts/button.tsx";
import { CheckField, TextField } from "../../parts/field.tsx";
import { ButtonLink } from "../../parts/link.tsx";
import { Loaded, Notice, Trouble } from "../../parts/notice.tsx";
import { Progress, useNow } from "../../parts/figures.tsx";
import { useAction, useResource } from "../../resource.ts";
import { useMay } from "../../session.tsx";
import { countDiff, type Change } from "../../timeline/around.ts";
import { nameOfMoment } from "../../timeline/moment-names.ts";
import { several } from "../../timeline/time.ts";
import { rollbackConsequences } from "../consequences.ts";
import { restorePath, timelinePath } from "../places.ts";
import { ReviewFrame } from "../review-frame.tsx";
import type { RestoreTarget, ReviewProps } from "../target.ts";
import type { WireVolume } from "../../../../contract/contract.ts";

export const rollbackTarget: RestoreTarget = {
  id: "rollback",
  title: "Roll the disk back",
  summary: "The live disk becomes what it was, at once. Shut the machine down first.",
  isDangerous: true,
  needs: () => ["rollbackVolume"],
  takes: (subject) => subject.kind === "volume",
  Review,
};

interface Facts {
  volume: WireVolume;
  change: Change | undefined;
  keptFor: number | undefined;
}

/** As it stands now: clients come and go, and writes go on. */
async function loadFacts(name: string, at: string, mayCompare: boolean, signal: AbortSignal): Promise<Facts> {
  const [volume, retention, change] = await Promise.all([
    api.volume(name),
    api.retention(name),
    mayCompare ? countDiff(api, name, at, "now", signal) : undefined,
  ]);
  return { volume, change, keptFor: retention.policy && retention.policy.allSeconds * 1e6 };
}

function Review(props: ReviewProps) {
  const { subject, at } = props.plan;
  const may = useMay();
  const name = subject.name;
  const facts = useResource((signal) => loadFacts(name, at, may("getDiff"), signal), [name, at]);
  return <Loaded of={facts}>{(found) => <Asked {...props} facts={found} onLookAgain={facts.reload} />}</Loaded>;
}

interface Done {
  undo: string;
  bookmark: string | undefined;
}

function Asked({ plan, onBack, facts, onLookAgain }: ReviewProps & { facts: Facts; onLookAgain: () => void }) {
  const { subject, at, moment } = plan;
  const { volume, change, keptFor } = facts;
  const may = useMay();
  const now = useNow(10_000) * 1000;
  const mayBookmark = may("createBookmark");
  const [wantsBookmark, setBookmark] = useState(mayBookmark);
  const [bookmark] = useState(() => nameOfMoment("before-rollback", Date.now() * 1000, moment.zone));
  const [typed, setTyped] = useState("");
  const [force, setForce] = useState(false);
  const [stage, setStage] = useState("");
  const [done, setDone] = useState<Done | undefined>(undefined);
  const doing = useAction(async () => {
    let marked: string | undefined;
    if (wantsBookmark) {
      setStage("Bookmarking the state before");
      marked = await bookmarkNow(volume.name, bookmark);
    }
    setStage(`Rolling ${volume.name} back`);
    const { undo } = await api.rollback(volume.name, at, volume.attached > 0 ? { force } : {});
    setDone({ undo, bookmark: marked });
  });
  if (done) return <RolledBack volume={volume.name} done={done} />;
  const consequences = rollbackConsequences({
    volume,
    moment,
    change,
    now,
    bookmark: wantsBookmark ? bookmark : undefined,
    keptFor,
  });
  const isReady = typed === volume.name && (volume.attached === 0 || force);
  return (
    <ReviewFrame title={`Roll ${subject.name} back`} consequences={consequences}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) void doing.run();
        }}
      >
        {volume.attached > 0 && (
          <div class="stack-tight">
            <CheckField
              label={`Roll back although ${several(volume.attached, "client")} ${volume.attached === 1 ? "is" : "are"} attached`}
              hint="Their file systems will be damaged unless they are shut down."
              checked={force}
              onInput={setForce}
            />
            <div>
              <Button size="small" onClick={onLookAgain}>
                Look again who is attached
              </Button>
            </div>
          </div>
        )}
        {mayBookmark && (
          <CheckField
            label="Bookmark the state before"
            hint={`As ${bookmark}, so that the way back is easy to find.`}
            checked={wantsBookmark}
            onInput={setBookmark}
          />
        )}
        <TextField label={`Type ${volume.name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
        <Trouble error={doing.error} title={`${volume.name} was not rolled back`} />
        {doing.busy && <Progress label={stage} value={undefined} />}
        <div class="row-end">
          <Button onClick={onBack}>Back</Button>
          <Button type="submit" kind="danger-filled" busy={doing.busy} disabled={!isReady}>
            Roll back
          </Button>
        </div>
      </form>
    </ReviewFrame>
  );
}

/** A second attempt within the minute finds the bookmark of the first: it marks an earlier state, so another name is taken. */
async function bookmarkNow(volume: string, name: string): Promise<string> {
  const taken = new Set((await api.bookmarks(volume)).map((each) => each.name));
  let free = name;
  for (let round = 2; taken.has(free); round++) free = `${name}-${round}`;
  await api.createBookmark(volume, { name: free, note: "the state before a rollback" });
  return free;
}

function RolledBack({ volume, done }: { volume: string; done: Done }) {
  const way = done.bookmark === undefined ? done.undo : `bookmark:${done.bookmark}`;
  return (
    <Notice tone="good" live title={`${volume} is rolled back`}>
      <div class="stack">
        <p>The disk reads as it did at that moment. Start the machine again and look whether it is what you wanted.</p>
        <p>
          To undo this, roll back to the moment before: <code data-testid="undo">{way}</code>.
        </p>
        <div class="row">
          <ButtonLink to={restorePath({ volume, at: way, to: "rollback" })}>Undo this</ButtonLink>
          <ButtonLink to={timelinePath(volume)}>Back to the timeline</ButtonLink>
        </div>
      </div>
    </Notice>
  );
}

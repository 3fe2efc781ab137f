/** Sets the live disk back. What it held stays in the history; all the same it is asked for by name, since whoever uses the disk is in for a surprise. */
import { useState } from "preact/hooks";
import { api } from "../../api.ts";
import { CheckField, TextField } from "../../parts/field.tsx";
import { Loaded } from "../../parts/notice.tsx";
import { Progress, useNow } from "../../parts/figures.tsx";
import { useAction, useResource } from "../../resource.ts";
import { useMay } from "../../session.tsx";
import { countDiff, type Change } from "../../timeline/around.ts";
import { nameOfMoment } from "../../timeline/moment-names.ts";
import { rollbackConsequences } from "../consequences.ts";
import { restorePath, timelinePath } from "../places.ts";
import { RolledBack } from "../outcome.tsx";
import { ForceField, ReviewForm } from "../review-form.tsx";
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
  /** The moment to go back to, to undo it. */
  const [done, setDone] = useState<string | undefined>(undefined);
  const doing = useAction(async () => {
    let marked: string | undefined;
    if (wantsBookmark) {
      setStage("Bookmarking the state before");
      marked = await bookmarkNow(volume.name, bookmark);
    }
    setStage(`Rolling ${volume.name} back`);
    const { undo } = await api.rollback(volume.name, at, volume.attached > 0 ? { force } : {});
    setDone(marked === undefined ? undo : `bookmark:${marked}`);
  });
  if (done !== undefined) {
    return (
      <RolledBack
        title={`${volume.name} is rolled back`}
        undo={done}
        undoPath={restorePath({ volume: volume.name, at: done, to: "rollback" })}
        timelinePath={timelinePath(volume.name)}
      >
        <p>The disk reads as it did at that moment. Start the machine again and look whether it is what you wanted.</p>
      </RolledBack>
    );
  }
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
      <ReviewForm
        doing={doing}
        submit="Roll back"
        isReady={isReady}
        isDangerous
        trouble={`${volume.name} was not rolled back`}
        onBack={onBack}
        onFailed={onLookAgain}
      >
        <ForceField attached={volume.attached} force={force} onForce={setForce} onLookAgain={onLookAgain} />
        {mayBookmark && (
          <CheckField
            label="Bookmark the state before"
            hint={`As ${bookmark}, so that the way back is easy to find.`}
            checked={wantsBookmark}
            onInput={setBookmark}
          />
        )}
        <TextField label={`Type ${volume.name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
        {doing.busy && <Progress label={stage} value={undefined} />}
      </ReviewForm>
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

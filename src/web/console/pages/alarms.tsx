/** Alarms: volumes whose writes looked as if files were being encrypted, and what became of each. */
import type { WireAlarm } from "../../../contract/signals.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { FormDialog } from "../parts/dialog.tsx";
import { ChoiceField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { ButtonLink, Link } from "../parts/link.tsx";
import { Badge, Loaded, Notice } from "../parts/notice.tsx";
import { Older } from "../parts/older.tsx";
import { Card, Empty, Facts, Page } from "../parts/page.tsx";
import { useResource } from "../resource.ts";
import { restorePath, timelinePath } from "../restore/places.ts";
import { useMay } from "../session.tsx";
import { formatSize } from "../words.ts";

type Tone = "good" | "warn" | "bad";
type Verdict = NonNullable<WireAlarm["acknowledged"]>["verdict"];
const VERDICTS: Record<Verdict, string> = {
  mine: "somebody meant it",
  attack: "an attack",
  unclear: "unclear",
};

const VERDICT_TONES: Record<Verdict, Tone> = { mine: "good", attack: "bad", unclear: "warn" };

export function Alarms() {
  const [limit, setLimit] = useState(50);
  const alarms = useResource(() => api.alarms({ limit }), [limit], { everyMs: 5_000, keep: true });
  const [answering, setAnswering] = useState<WireAlarm | undefined>(undefined);
  return (
    <Page
      title="Alarms"
      intro="Raised when data that could be compressed is overwritten by what looks random, as ransomware does. The moment before is held, and stays until somebody releases it."
    >
      <Loaded of={alarms}>
        {({ alarms: all, next }) =>
          all.length === 0 ? (
            <Card>
              <Empty>There was none.</Empty>
            </Card>
          ) : (
            <>
              {all.map((alarm) => (
                <AlarmCard key={alarm.id} alarm={alarm} onAnswer={() => setAnswering(alarm)} />
              ))}
              <Older next={next} limit={limit} onLimit={setLimit} />
            </>
          )
        }
      </Loaded>
      {answering && <Answer alarm={answering} onClose={() => setAnswering(undefined)} onDone={alarms.reload} />}
    </Page>
  );
}

function AlarmCard({ alarm, onAnswer }: { alarm: WireAlarm; onAnswer: () => void }) {
  const may = useMay();
  const isNew = alarm.acknowledged === undefined;
  // Whoever said that it was an attack, or could not tell, still has to act.
  const isMeant = alarm.acknowledged?.verdict === "mine";
  return (
    <Card
      title={alarm.volume ?? "A volume that cannot be had now"}
      actions={
        <>
          {alarm.volume !== undefined && may("getImage") && (
            <ButtonLink
              to={restorePath({ volume: alarm.volume, at: `lsn:${alarm.before.lsn}` })}
              kind={isMeant ? "plain" : "primary"}
            >
              Restore the moment before
            </ButtonLink>
          )}
          {may("acknowledgeAlarm") && (
            <Button
              label={`${isNew ? "Say what it was" : "Change what it was"}: ${alarm.volume ?? "this volume"}`}
              onClick={onAnswer}
            >
              {isNew ? "Say what it was" : "Change what it was"}
            </Button>
          )}
        </>
      }
    >
      <div class="row">
        <Badge tone={alarm.state === "open" ? "bad" : "plain"}>{alarm.state === "open" ? "goes on" : "over"}</Badge>
        <Badge tone={alarm.acknowledged ? VERDICT_TONES[alarm.acknowledged.verdict] : "warn"}>
          {alarm.acknowledged ? VERDICTS[alarm.acknowledged.verdict] : "nobody has looked into it"}
        </Badge>
      </div>
      {!isMeant && alarm.state === "open" && (
        <Notice tone="bad" title="What to do">
          Disconnect the machine from its network, and let it run no longer. Then restore the moment before: nothing of
          it is lost.
        </Notice>
      )}
      <Facts
        of={[
          ["Raised", <Time key="raised" at={alarm.raisedAt} as="local" />],
          ["First suspicious write", <Time key="first" at={alarm.first.time} as="local" />],
          ["The moment before", <Time key="before" at={alarm.before.time} as="local" />],
          [
            "Overwritten so far",
            `${formatSize(alarm.turnedBytes)}, ${Math.round(alarm.share * 100)} % of what was written`,
          ],
          ["Kept by", alarm.hold ?? "no hold: it could not be made"],
          [
            "Timeline",
            alarm.volume && (
              <Link to={timelinePath(alarm.volume, `lsn:${alarm.before.lsn}`)}>
                of {alarm.volume}, at the moment before
              </Link>
            ),
          ],
          [
            "Looked into by",
            alarm.acknowledged && (
              <>
                {alarm.acknowledged.by}, <Time at={alarm.acknowledged.at} />
                {alarm.acknowledged.note === "" ? "" : `: ${alarm.acknowledged.note}`}
              </>
            ),
          ],
        ]}
      />
    </Card>
  );
}

function Answer({ alarm, onClose, onDone }: { alarm: WireAlarm; onClose: () => void; onDone: () => void }) {
  const [verdict, setVerdict] = useState<Verdict>(alarm.acknowledged?.verdict ?? "unclear");
  const [note, setNote] = useState(alarm.acknowledged?.note ?? "");
  return (
    <FormDialog
      title="What was it?"
      submit="Note it"
      onClose={onClose}
      onSubmit={async () => {
        await api.acknowledgeAlarm(alarm.id, { verdict, ...(note.trim() === "" ? {} : { note: note.trim() }) });
        onDone();
      }}
    >
      <ChoiceField
        label="The alarm was"
        value={verdict}
        onInput={setVerdict}
        choices={[
          { value: "attack", label: "An attack" },
          {
            value: "mine",
            label: "Meant",
            hint: "such as encrypting a disk; as much of it raises no alarm for 30 days",
          },
          { value: "unclear", label: "Unclear" },
        ]}
      />
      <TextField label="Note" value={note} onInput={setNote} maxLength={1000} />
      <p class="quiet">The hold stays until it is released.</p>
    </FormDialog>
  );
}

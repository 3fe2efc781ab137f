/** One job, as it goes on. */
import { api } from "../api.ts";
import { useJob } from "../follow-job.ts";
import { jobLength, jobTitle, jobTone, lineWords } from "../job-words.ts";
import { Button } from "../parts/button.tsx";
import { Progress, Time, useNow } from "../parts/figures.tsx";
import { Badge, Loaded, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { useAction, useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { sentence } from "../words.ts";

export function Job({ id }: { id: number }) {
  const may = useMay();
  const job = useResource(() => api.job(id), [id]);
  const followed = useJob(Number.isSafeInteger(id) && id > 0 ? id : undefined);
  const cancel = useAction(async () => {
    await api.cancelJob(id);
  });
  const now = useNow(1_000);
  const shown = followed.ended ?? job.value;
  return (
    <Page
      title={shown ? jobTitle(shown) : `Job ${id}`}
      back={{ to: "/jobs", label: "Jobs" }}
      actions={
        shown?.state === "running" &&
        may("cancelJob") && (
          <Button kind="danger" busy={cancel.busy} onClick={() => void cancel.run()}>
            Stop it
          </Button>
        )
      }
    >
      <Trouble error={cancel.error} />
      <Card>
        <Loaded of={job}>
          {(first) => {
            const current = followed.ended ?? first;
            return (
              <>
                {current.state === "running" && (
                  <Progress
                    label={followed.what ?? "Running"}
                    value={followed.progress ?? (first.progress || undefined)}
                  />
                )}
                {followed.isBroken && <p class="quiet">The connection broke; it is tried again. The job goes on.</p>}
                <Facts
                  of={[
                    [
                      "State",
                      <Badge key="state" tone={jobTone(current.state)}>
                        {current.state}
                      </Badge>,
                    ],
                    ["Started", <Time key="from" at={current.startedAt} as="local" />],
                    [current.state === "running" ? "Running for" : "Took", jobLength(current, now)],
                    ["By", current.askedBy ?? "the appliance itself"],
                  ]}
                />
                {current.error !== undefined && (
                  <Notice tone={current.state === "failed" ? "bad" : "warn"} live title="How it ended">
                    {sentence(current.error)}
                  </Notice>
                )}
                {current.state === "done" && (
                  <Notice tone="good" live title="Done">
                    {lastWords(followed.lines)}
                  </Notice>
                )}
              </>
            );
          }}
        </Loaded>
      </Card>
      {followed.lines.length > 0 && (
        <Card title="What it told">
          <div class="log" tabIndex={0} role="log" aria-label="Lines of the job">
            {followed.lines.map((line) => lineWords(line)).join("\n")}
          </div>
        </Card>
      )}
    </Page>
  );
}

function lastWords(lines: readonly { line: string }[]): string {
  const end = lines.findLast((line) => line.line === "end");
  return end ? sentence(lineWords(end)) : "It ended well.";
}

/** Jobs: what runs, and what ran. */
import type { WireJob } from "../../../contract/jobs.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { jobLength, jobTitle, jobTone } from "../job-words.ts";
import { Button } from "../parts/button.tsx";
import { Progress, Time, useNow } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Badge, Loaded } from "../parts/notice.tsx";
import { Older } from "../parts/older.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { StartWork } from "../start-work.tsx";

const PAGE = 50;

export function Jobs() {
  const may = useMay();
  const [limit, setLimit] = useState(PAGE);
  const [starting, setStarting] = useState(false);
  const jobs = useResource(() => api.jobs({ limit }), [limit], { everyMs: 2_000, keep: true });
  const now = useNow(1_000);
  return (
    <Page
      title="Jobs"
      intro="Long work: checks, scrubs, copies to tiers, giving space back. It goes on when this page is closed."
      actions={may("startCheck") && <Button onClick={() => setStarting(true)}>Start a check or scrub</Button>}
    >
      <Card>
        <Loaded of={jobs}>
          {({ jobs: all, next }) => (
            <>
              <Table
                label="Jobs"
                rows={all}
                rowKey={(job: WireJob) => job.id}
                empty={<Empty>Nothing has run yet.</Empty>}
                columns={[
                  { label: "Job", cell: (job) => <Link to={`/jobs/${job.id}`}>{jobTitle(job)}</Link> },
                  {
                    label: "State",
                    cell: (job) =>
                      job.state === "running" ? (
                        <Progress label="running" value={job.progress > 0 ? job.progress : undefined} />
                      ) : (
                        <Badge tone={jobTone(job.state)}>{job.state}</Badge>
                      ),
                  },
                  { label: "Started", cell: (job) => <Time at={job.startedAt} /> },
                  { label: "Took", cell: (job) => jobLength(job, now) },
                  { label: "By", cell: (job) => job.askedBy ?? <span class="quiet">the appliance</span> },
                ]}
              />
              <Older next={next} limit={limit} onLimit={setLimit} />
            </>
          )}
        </Loaded>
      </Card>
      {starting && <StartWork onClose={() => setStarting(false)} />}
    </Page>
  );
}

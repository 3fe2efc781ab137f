/** Where an account is signed in, and ending that: one's own on the page of one's account, others' in a dialog for administrators. */
import type { WireOpenSession } from "../../contract/sessions.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { Button } from "./parts/button.tsx";
import { Confirm } from "./parts/dialog.tsx";
import { Time } from "./parts/figures.tsx";
import { Badge, Loaded, Trouble } from "./parts/notice.tsx";
import { Empty } from "./parts/page.tsx";
import { Table } from "./parts/table.tsx";
import { useAction, useResource } from "./resource.ts";

/** @param account - whose they are; left out: one's own */
export function OpenSessions({ account }: { account?: string }) {
  const sessions = useResource(() => api.sessions(account), [account]);
  const [asked, setAsked] = useState(false);
  const end = useAction(async (session: WireOpenSession) => {
    await api.endSession(session.id);
    sessions.reload();
  });
  const others = sessions.value?.filter((each) => !each.current).length ?? 0;
  return (
    <>
      <Loaded of={sessions}>
        {(all) => (
          <Table
            label={account === undefined ? "Your sessions" : `Sessions of ${account}`}
            rows={all}
            rowKey={(each: WireOpenSession) => each.id}
            empty={<Empty>Signed in nowhere.</Empty>}
            columns={[
              {
                label: "Browser",
                cell: (each) => (
                  <span class="row">
                    {each.browser === "" ? "Unknown browser" : each.browser}
                    {each.current && <Badge tone="good">this one</Badge>}
                  </span>
                ),
              },
              { label: "From", cell: (each) => each.from },
              { label: "Signed in", cell: (each) => <Time at={each.createdAt} /> },
              { label: "Last seen", cell: (each) => <Time at={each.lastSeenAt} /> },
              {
                label: "",
                cell: (each) =>
                  !each.current && (
                    <Button
                      size="small"
                      kind="danger"
                      busy={end.busy}
                      label={`End the session of ${each.browser === "" ? "an unknown browser" : each.browser} from ${each.from}`}
                      onClick={() => void end.run(each)}
                    >
                      End
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
      <Trouble error={end.error} />
      {others > 0 && (
        <div>
          <Button kind="danger" onClick={() => setAsked(true)}>
            {account === undefined ? "End all others" : "End all"}
          </Button>
        </div>
      )}
      {asked && (
        <Confirm
          title={account === undefined ? "End all other sessions?" : `Sign ${account} out everywhere?`}
          submit="End them"
          onClose={() => setAsked(false)}
          onSubmit={async () => {
            await api.endSessions(account);
            sessions.reload();
          }}
        >
          <p>
            Those browsers have to sign in again. API tokens stay. If a session is not yours, change the password as
            well.
          </p>
        </Confirm>
      )}
    </>
  );
}

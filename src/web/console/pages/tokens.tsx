/** API tokens: how programs sign in. */
import type { WireToken } from "../../../contract/accounts.ts";
import { ROLES, type Role } from "../../../contract/rights.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Confirm, FormDialog } from "../parts/dialog.tsx";
import { SelectField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Loaded } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { SecretDialog } from "../parts/secret-dialog.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { ROLE_WORDS } from "../role-words.ts";
import { useWho } from "../session.tsx";

/** Which roles a token of an account may have. */
const WITHIN: Record<Role, readonly Role[]> = {
  administrator: ROLES,
  operator: ["operator", "self-service"],
  "self-service": ["self-service"],
  auditor: ["auditor"],
};

export function Tokens() {
  const who = useWho();
  const tokens = useResource(() => api.tokens(), []);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<string | undefined>(undefined);
  const [removing, setRemoving] = useState<WireToken | undefined>(undefined);
  return (
    <Page
      title="API tokens"
      intro={
        <>
          Programs sign in by tokens, sent as <code>Authorization: Bearer TOKEN</code>. What there is to call is
          described at <a href="/docs">/docs</a>.
        </>
      }
      actions={
        <Button kind="primary" onClick={() => setAdding(true)}>
          Make a token
        </Button>
      }
    >
      <Card>
        <Loaded of={tokens}>
          {(all) => (
            <Table
              label="API tokens"
              rows={all}
              rowKey={(each: WireToken) => each.id}
              empty={<Empty>There are no tokens.</Empty>}
              columns={[
                { label: "For", cell: (each) => each.name },
                ...(who.role === "administrator" ? [{ label: "Of", cell: (each: WireToken) => each.account }] : []),
                { label: "Role", cell: (each) => each.role },
                { label: "Expires", cell: (each) => <Time at={each.expiresAt} /> },
                {
                  label: "Last used",
                  cell: (each) =>
                    each.lastUsedAt === undefined ? <span class="quiet">never</span> : <Time at={each.lastUsedAt} />,
                },
                {
                  label: "",
                  cell: (each) => (
                    <Button
                      size="small"
                      kind="danger"
                      label={`Remove token ${each.name}`}
                      onClick={() => setRemoving(each)}
                    >
                      Remove
                    </Button>
                  ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      {adding && (
        <AddToken
          onClose={() => setAdding(false)}
          onMade={(token) => {
            setMade(token);
            tokens.reload();
          }}
        />
      )}
      {made !== undefined && (
        <SecretDialog
          title="The new token"
          secret={made}
          label="the token"
          advice="Put it where the program keeps its secrets."
          onClose={() => setMade(undefined)}
        />
      )}
      {removing && (
        <Confirm
          title={`Remove token ${removing.name}?`}
          submit="Remove it"
          onClose={() => setRemoving(undefined)}
          onSubmit={async () => {
            await api.removeToken(removing.id);
            tokens.reload();
          }}
        >
          <p>Programs that use it are refused from then on.</p>
        </Confirm>
      )}
    </Page>
  );
}

function AddToken({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }) {
  const who = useWho();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>(who.role);
  const [days, setDays] = useState("90");
  const count = Number(days);
  const isValid = Number.isInteger(count) && count >= 1 && count <= 366;
  return (
    <FormDialog
      title="Make a token"
      submit="Make it"
      disabled={name.trim() === "" || !isValid}
      onClose={onClose}
      onSubmit={async () => onMade((await api.addToken({ name: name.trim(), role, expiresInDays: count })).token)}
    >
      <TextField label="What it is for" hint="Such as grafana or deploy" value={name} onInput={setName} />
      <SelectField
        label="What it may do"
        value={role}
        onInput={setRole}
        choices={WITHIN[who.role].map((each) => ({ value: each, label: `${each}: ${ROLE_WORDS[each]}` }))}
      />
      <TextField
        label="Days until it expires"
        inputMode="numeric"
        value={days}
        onInput={setDays}
        error={isValid ? undefined : "From 1 to 366."}
      />
    </FormDialog>
  );
}

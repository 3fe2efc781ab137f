/** Everybody's accounts. */
import type { WireAccount } from "../../../contract/accounts.ts";
import { ROLES, type Role } from "../../../contract/rights.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { optional } from "../gather.ts";
import { OpenSessions } from "../open-sessions.tsx";
import { Button } from "../parts/button.tsx";
import { Confirm, Dialog, FormDialog } from "../parts/dialog.tsx";
import { CheckList, ChoiceField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Badge, Loaded, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { passwordTrouble } from "../passwords.ts";
import { useAction, useResource } from "../resource.ts";
import { ROLE_WORDS } from "../role-words.ts";
import { useWho } from "../session.tsx";
import { listed } from "../words.ts";

const ROLE_CHOICES = ROLES.map((role) => ({ value: role, label: role, hint: ROLE_WORDS[role] }));

export function Accounts() {
  const accounts = useResource(() => api.accounts(), []);
  const [adding, setAdding] = useState(false);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const account = accounts.value?.find((each) => each.name === chosen);
  return (
    <Page
      title="Accounts"
      intro="Who may use this appliance, and for what. Programs use API tokens instead."
      actions={
        <Button kind="primary" onClick={() => setAdding(true)}>
          Add an account
        </Button>
      }
    >
      <Card>
        <Loaded of={accounts}>
          {(all) => (
            <Table
              label="Accounts"
              rows={all}
              rowKey={(each: WireAccount) => each.name}
              columns={[
                { label: "Name", cell: (each) => each.name },
                { label: "Role", cell: (each) => each.role },
                {
                  label: "Machines",
                  cell: (each) => (each.role === "self-service" ? listed(each.machines) || "none" : "all"),
                },
                {
                  label: "Second factor",
                  cell: (each) =>
                    each.signsInBy === "provider" ? (
                      <span class="quiet">the provider’s</span>
                    ) : (
                      <Badge tone={each.secondFactor ? "good" : each.role === "administrator" ? "warn" : "plain"}>
                        {each.secondFactor ? "on" : "off"}
                      </Badge>
                    ),
                },
                {
                  label: "Signed in",
                  cell: (each) =>
                    each.pausedUntil !== undefined ? (
                      <Badge tone="warn">paused</Badge>
                    ) : each.signedInAt === undefined ? (
                      <span class="quiet">never</span>
                    ) : (
                      <Time at={each.signedInAt} />
                    ),
                },
                {
                  label: "",
                  cell: (each) => (
                    <Button size="small" label={`Change ${each.name}`} onClick={() => setChosen(each.name)}>
                      Change
                    </Button>
                  ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      {adding && <AddAccount onClose={() => setAdding(false)} onDone={accounts.reload} />}
      {account && <ChangeAccount account={account} onClose={() => setChosen(undefined)} onDone={accounts.reload} />}
    </Page>
  );
}

function useMachineNames(): string[] {
  const machines = useResource(async () => (await optional(api.machines())) ?? [], []);
  return (machines.value ?? []).map((machine) => machine.name);
}

function MachineChoice(props: { role: Role; chosen: readonly string[]; onInput: (chosen: string[]) => void }) {
  const names = useMachineNames();
  if (props.role !== "self-service") return null;
  if (names.length === 0) return <Notice>There is no machine yet: make one first, and give it then.</Notice>;
  return <CheckList label="Own machines" choices={names} chosen={props.chosen} onInput={props.onInput} />;
}

function AddAccount({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const [machines, setMachines] = useState<string[]>([]);
  const [password, setPassword] = useState("");
  const weak = passwordTrouble(password);
  return (
    <FormDialog
      title="Add an account"
      submit="Add it"
      disabled={name.trim() === "" || weak !== undefined}
      onClose={onClose}
      onSubmit={async () => {
        await api.addAccount({
          name: name.trim().toLowerCase(),
          role,
          password,
          ...(role === "self-service" ? { machines } : {}),
        });
        onDone();
      }}
    >
      <TextField label="Name" hint="Small letters and digits" value={name} onInput={setName} autocomplete="off" />
      <ChoiceField label="Role" value={role} onInput={setRole} choices={ROLE_CHOICES} />
      <MachineChoice role={role} chosen={machines} onInput={setMachines} />
      <TextField
        label="First password"
        hint="Tell it the person by another way; it can be changed after signing in"
        type="password"
        value={password}
        onInput={setPassword}
        error={password === "" ? undefined : weak}
        autocomplete="new-password"
      />
    </FormDialog>
  );
}

function ChangeAccount({
  account,
  onClose,
  onDone,
}: {
  account: WireAccount;
  onClose: () => void;
  onDone: () => void;
}) {
  const who = useWho();
  const [open, setOpen] = useState<"" | "role" | "password" | "sessions" | "remove">("");
  const act = useAction(async (work: () => Promise<unknown>) => {
    await work();
    onDone();
  });
  const isSelf = who.name === account.name;
  if (open === "role") return <ChangeRole account={account} onClose={onClose} onDone={onDone} />;
  if (open === "password") return <SetPassword account={account} onClose={onClose} />;
  if (open === "sessions") {
    return (
      <Dialog title={`Where ${account.name} is signed in`} onClose={onClose} wide>
        <OpenSessions account={account.name} />
        <div class="row-end">
          <Button onClick={onClose}>Close</Button>
        </div>
      </Dialog>
    );
  }
  if (open === "remove") {
    return (
      <Confirm
        title={`Remove ${account.name}?`}
        submit="Remove the account"
        name={account.name}
        onClose={onClose}
        onSubmit={async () => {
          await api.removeAccount(account.name);
          onDone();
        }}
      >
        <p>Sessions end and API tokens are refused at once. What the account did stays in the audit.</p>
      </Confirm>
    );
  }
  return (
    <Dialog title={account.name} onClose={onClose}>
      <div class="row">
        <Button onClick={() => setOpen("role")}>Change the role</Button>
        {account.signsInBy === "password" && <Button onClick={() => setOpen("password")}>Set a password</Button>}
        <Button onClick={() => setOpen("sessions")}>Sessions</Button>
        {account.secondFactor && !isSelf && (
          <Button busy={act.busy} onClick={() => void act.run(() => api.turnAccountTotpOff(account.name))}>
            Turn the second factor off
          </Button>
        )}
        {account.pausedUntil !== undefined && (
          <Button busy={act.busy} onClick={() => void act.run(() => api.unlockAccount(account.name))}>
            End the pause
          </Button>
        )}
        <Button kind="danger" onClick={() => setOpen("remove")}>
          Remove
        </Button>
      </div>
      <Trouble error={act.error} />
      <div class="row-end">
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}

function ChangeRole({ account, onClose, onDone }: { account: WireAccount; onClose: () => void; onDone: () => void }) {
  const [role, setRole] = useState<Role>(account.role);
  const [machines, setMachines] = useState<string[]>(account.machines);
  return (
    <FormDialog
      title={`Role of ${account.name}`}
      submit="Change it"
      onClose={onClose}
      onSubmit={async () => {
        await api.changeAccount(account.name, { role, ...(role === "self-service" ? { machines } : {}) });
        onDone();
      }}
    >
      <ChoiceField label="Role" value={role} onInput={setRole} choices={ROLE_CHOICES} />
      <MachineChoice role={role} chosen={machines} onInput={setMachines} />
      <p class="quiet">Sessions of {account.name} end. API tokens that would do more than the new role are removed.</p>
    </FormDialog>
  );
}

function SetPassword({ account, onClose }: { account: WireAccount; onClose: () => void }) {
  const [password, setPassword] = useState("");
  const weak = passwordTrouble(password);
  return (
    <FormDialog
      title={`Password of ${account.name}`}
      submit="Set it"
      disabled={weak !== undefined}
      onClose={onClose}
      onSubmit={() => api.setAccountPassword(account.name, password)}
    >
      <TextField
        label="New password"
        type="password"
        value={password}
        onInput={setPassword}
        error={password === "" ? undefined : weak}
        autocomplete="new-password"
      />
      <p class="quiet">Sessions of {account.name} end.</p>
    </FormDialog>
  );
}

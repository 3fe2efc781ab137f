/** Who reaches a machine's disks, by certificates over the network and as users of the appliance's own system: which there are, making one, taking one back. */
import { useEffect, useState } from "preact/hooks";
import type { WireCredential, WireMadeCredential, WireUserCredential } from "../../contract/credentials.ts";
import { api } from "./api.ts";
import { certificateCommand, certificateFiles } from "./connect-commands.ts";
import { Button } from "./parts/button.tsx";
import { Copyable } from "./parts/copyable.tsx";
import { Confirm } from "./parts/dialog.tsx";
import { CheckField, TextField } from "./parts/field.tsx";
import { Time } from "./parts/figures.tsx";
import { Loaded, Notice, Trouble } from "./parts/notice.tsx";
import { Table } from "./parts/table.tsx";
import { useAction, useResource } from "./resource.ts";
import { useMay, useWho } from "./session.tsx";

export function MachineCertificates({ machine }: { machine: string }) {
  const may = useMay();
  const list = useResource(() => api.credentials(machine), [machine]);
  const [made, setMade] = useState<Fresh | undefined>(undefined);
  const [leaving, setLeaving] = useState<WireCredential | undefined>(undefined);
  return (
    <div class="stack">
      <p class="quiet">
        With a certificate a program reaches the disks of {machine} over the network, and no others; a user of the
        appliance's own system reaches them there without one.
      </p>
      <Loaded of={list}>
        {(all) => (
          <Table
            label="Certificates"
            rows={all}
            rowKey={(each: WireCredential) => each.id}
            empty={<p class="quiet">There are none.</p>}
            columns={[
              { label: "For", cell: (each) => each.name },
              { label: "By", cell: meansOf },
              { label: "May", cell: (each) => (each.readOnly ? "read the past" : "read and write") },
              { label: "Made by", cell: (each) => each.createdBy },
              { label: "Expires", cell: (each) => <Time at={each.expiresAt} /> },
              {
                label: "",
                cell: (each) =>
                  may("deleteCredential") && (
                    <Button
                      size="small"
                      kind="danger"
                      label={`Take back the ${kindOf(each)} ${each.name}`}
                      onClick={() => setLeaving(each)}
                    >
                      Take back
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
      {made ? (
        <Made made={made} onDone={() => setMade(undefined)} />
      ) : (
        may("createCredential") && (
          <Make
            machine={machine}
            onMade={(one) => {
              setMade(one);
              list.reload();
            }}
          />
        )
      )}
      {leaving && (
        <Confirm
          title={`Take back the ${kindOf(leaving)} ${leaving.name}?`}
          submit="Take it back"
          onClose={() => setLeaving(undefined)}
          onSubmit={async () => {
            await api.deleteCredential(machine, leaving.id);
            list.reload();
          }}
        >
          <p>Whoever is connected by it is cut off at once, in the middle of a write, too.</p>
        </Confirm>
      )}
    </div>
  );
}

const kindOf = ({ user }: WireCredential): string => (user ? "credential" : "certificate");

function meansOf({ user }: WireCredential): string {
  if (!user) return "certificate";
  return user.name === String(user.uid) ? `uid ${user.uid}` : `user ${user.name} (uid ${user.uid})`;
}

/** One that was just made. */
type Fresh = WireMadeCredential | WireUserCredential;

function Make({ machine, onMade }: { machine: string; onMade: (made: Fresh) => void }) {
  const who = useWho();
  const [user, setUser] = useState("");
  const [name, setName] = useState("");
  const [writes, setWrites] = useState(false);
  const make = useAction(async () => {
    const wish = { name: name.trim(), readOnly: !writes };
    const of = user.trim();
    onMade(
      of === ""
        ? await api.createCredential(machine, wish)
        : await api.createUserCredential(machine, { ...wish, user: of }),
    );
  });
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void make.run();
      }}
    >
      <TextField label="A new one, for" hint="Such as web1-host" value={name} onInput={setName} maxLength={64} />
      {who.role === "administrator" && (
        <>
          <TextField
            label="Only for this user of the appliance's own system (optional)"
            hint="Such as libvirt-qemu, for programs that run on the appliance; they need no certificate then"
            value={user}
            onInput={setUser}
            maxLength={64}
          />
          <CheckField
            label="It may write to the disks"
            hint="For the protected machine itself; without it only past moments can be read"
            checked={writes}
            onInput={setWrites}
          />
        </>
      )}
      <Trouble error={make.error} />
      <div>
        <Button type="submit" busy={make.busy} disabled={name.trim() === ""}>
          {user.trim() === "" ? "Make a certificate" : "Let this user in"}
        </Button>
      </div>
    </form>
  );
}

function Made({ made, onDone }: { made: Fresh; onDone: () => void }) {
  if ("keyPem" in made) return <MadeCertificate made={made} onDone={onDone} />;
  return (
    <div class="stack-tight">
      {made.socketPath === undefined ? (
        <Notice tone="warn" title="There is no socket for users yet">
          Set <code>nbd.localSocket</code> in config.json, such as <code>/run/sternway/nbd.sock</code>, and start the
          appliance again.
        </Notice>
      ) : (
        <>
          <p>
            Programs that run as {meansOf(made)} on the appliance reach the disks at this socket, and show nothing
            there:
          </p>
          <Copyable text={made.socketPath} label="the socket's path" />
        </>
      )}
      <div>
        <Button onClick={onDone}>Done</Button>
      </div>
    </div>
  );
}

/** What is told once: the files to take along, and the same as a command. */
function MadeCertificate({ made, onDone }: { made: WireMadeCredential; onDone: () => void }) {
  const [links, setLinks] = useState<readonly { name: string; href: string }[]>([]);
  useEffect(() => {
    const all = certificateFiles(made).map(({ name, text }) => ({
      name,
      href: URL.createObjectURL(new Blob([text], { type: "application/x-pem-file" })),
    }));
    setLinks(all);
    // The key must not stay in the browser's memory for longer than it is shown.
    return () => all.forEach(({ href }) => URL.revokeObjectURL(href));
  }, [made]);
  return (
    <div class="stack-tight">
      <Notice tone="warn" title="The private key is shown this once">
        Take the three files to a folder on the client that only its owner can read, or run the command there as root.
      </Notice>
      <div class="row">
        {links.map(({ name, href }) => (
          <a key={name} class="button button-small" href={href} download={name}>
            Download {name}
          </a>
        ))}
      </div>
      <Copyable text={certificateCommand(made)} label="the certificate" />
      <div>
        <Button onClick={onDone}>I have it</Button>
      </div>
    </div>
  );
}

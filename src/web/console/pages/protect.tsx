/** Protecting a disk: name and size, then the commands to connect it, until its first write arrives. */
import type { WireDoors, WireVolume } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import {
  certificateCommand,
  CLIENT_LABELS,
  CLIENTS,
  connectCommands,
  doorChoices,
  doorLabel,
  userCommand,
  type ConnectClient,
  type Door,
} from "../connect-commands.ts";
import { optional } from "../gather.ts";
import { Button } from "../parts/button.tsx";
import { Copyable } from "../parts/copyable.tsx";
import { SelectField, TextField } from "../parts/field.tsx";
import { ButtonLink, Link } from "../parts/link.tsx";
import { Loaded, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Page } from "../parts/page.tsx";
import { useAction, useResource } from "../resource.ts";
import { navigate } from "../route.ts";
import { useMay } from "../session.tsx";
import { SizeField, useSizeText } from "../size-field.tsx";
import { formatSize } from "../words.ts";

/** Often enough that the first write seems to be noticed at once. */
const LOOK_MS = 1_500;

/** @param props.name - the volume to connect; absent: one is to be made */
export function Protect({ name }: { name?: string }) {
  return name === undefined ? <MakeVolume /> : <Connect name={name} />;
}

function MakeVolume() {
  const vaults = useResource(async () => (await optional(api.vaults())) ?? [], []);
  const [name, setName] = useState("");
  const size = useSizeText();
  const [vault, setVault] = useState("default");
  const make = useAction(async () => {
    if (size.bytes === undefined) return;
    const volume = await api.createVolume(name.trim(), size.bytes, vault === "default" ? {} : { vault });
    navigate(`/protect/${encodeURIComponent(volume.name)}`);
  });
  const writable = (vaults.value ?? []).filter((each) => each.state === "writable").map((each) => each.name);
  return (
    <Page
      title="Protect a disk"
      intro="A volume stands for one disk of one machine. It takes space only for what is written to it."
    >
      <Card>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void make.run();
          }}
        >
          <div class="fields">
            <TextField
              label="Name"
              hint="What you call the disk, such as web1 or db-data. Letters, digits, dots and dashes."
              value={name}
              onInput={setName}
              required
              autocomplete="off"
            />
            <SizeField label="Size" size={size} hint="As large as the disk, such as 20 GiB. It can be resized later." />
            {writable.length > 1 && (
              <SelectField
                label="Vault"
                hint="Where it is stored"
                value={vault}
                onInput={setVault}
                choices={writable.map((each) => ({ value: each, label: each }))}
              />
            )}
          </div>
          <Trouble error={make.error} />
          <div>
            <Button
              type="submit"
              kind="primary"
              busy={make.busy}
              disabled={name.trim() === "" || size.bytes === undefined}
            >
              Make the volume
            </Button>
          </div>
        </form>
      </Card>
    </Page>
  );
}

function Connect({ name }: { name: string }) {
  const volume = useResource(() => api.volume(name), [name], { everyMs: LOOK_MS });
  const doors = useResource(() => api.doors(), []);
  return (
    <Page
      title={`Connect ${name}`}
      back={{ to: `/volumes/${encodeURIComponent(name)}`, label: `Timeline of ${name}` }}
      intro="Run the commands on the machine that is to be protected. This page notices the first write by itself."
    >
      <Loaded of={volume}>{(value) => <Arrived volume={value} />}</Loaded>
      <Loaded of={doors}>{(value) => <Commands name={name} doors={value} />}</Loaded>
    </Page>
  );
}

function Arrived({ volume }: { volume: WireVolume }) {
  if (volume.lastLsn > volume.createdLsn) {
    return (
      <Notice tone="good" live title={`${volume.name} is protected`}>
        <p>Its writes arrive. From now on every one of them is kept.</p>
        <div class="row">
          <ButtonLink to={`/volumes/${encodeURIComponent(volume.name)}`} kind="primary">
            See its timeline
          </ButtonLink>
          <Link to={`/retention/${encodeURIComponent(volume.name)}`}>Choose how long to keep its history</Link>
        </div>
      </Notice>
    );
  }
  return (
    <Notice live title={volume.attached > 0 ? "A machine is connected" : "Waiting for a machine"}>
      {volume.attached > 0
        ? "The first write will be noticed here."
        : `${volume.name}, ${formatSize(volume.sizeBytes)}, is ready. Nobody has connected to it yet.`}
    </Notice>
  );
}

/** Its own socket lies where its configuration does. */
function configPath({ socketPath }: WireDoors): string {
  return `${socketPath.slice(0, socketPath.lastIndexOf("/"))}/config.json`;
}

function Commands({ name, doors }: { name: string; doors: WireDoors }) {
  const choices = doorChoices(doors, location.hostname);
  const [index, setIndex] = useState(doors.nbd.length > 0 ? "1" : "0");
  const [client, setClient] = useState<ConnectClient>("qemu");
  const door = choices[Number(index)] ?? choices[0];
  if (!door) return null;
  return (
    <Card title="Commands">
      <div class="fields">
        <SelectField
          label="The machine is a"
          value={client}
          onInput={setClient}
          choices={CLIENTS.map((each) => ({ value: each, label: CLIENT_LABELS[each] }))}
        />
        <SelectField
          label="It connects"
          value={index}
          onInput={setIndex}
          choices={choices.map((each, at) => ({ value: String(at), label: doorLabel(each) }))}
        />
      </div>
      {doors.nbd.length === 0 && (
        <Notice title="Other machines cannot reach the disks yet">
          <p>
            The appliance listens on its own socket alone. To open it to others, over TLS and with a certificate for
            each machine, put this into <code>{configPath(doors)}</code> on it, and start it again:
          </p>
          <Copyable text={'{ "nbd": { "listen": ["0.0.0.0:10809"] } }'} label="the setting" />
        </Notice>
      )}
      {door.kind === "unix" && door.byUser && <UserCredential volume={name} />}
      {door.kind === "tcp" && door.credentials && <Certificate volume={name} door={door} />}
      <div class="commands">
        {connectCommands(client, name, door).map((command) => (
          <div key={command.title} class="stack-tight">
            <h3>{command.title}</h3>
            <p class="quiet small">{command.hint}</p>
            <Copyable text={command.text} label={command.title.toLowerCase()} />
          </div>
        ))}
      </div>
    </Card>
  );
}

/** How the user that runs a VM on the appliance itself is let in. */
function UserCredential({ volume }: { volume: string }) {
  const machines = useResource(() => api.machines(), []);
  return (
    <div class="stack-tight">
      <h3>First: let the user in</h3>
      <p class="quiet small">
        As root on the appliance. libvirt-qemu stands for the user that runs the VM or the program; it reaches the disks
        of this one machine.
      </p>
      <Loaded of={machines}>
        {(all) => {
          const owner = all.find((machine) => machine.volumes.some((each) => each.name === volume));
          return <Copyable text={userCommand(volume, owner?.name)} label="let the user in" />;
        }}
      </Loaded>
    </div>
  );
}

/** The certificate that a machine shows at the door. It belongs to a machine, so one of the volume's name is made when none has it. */
function Certificate({ volume, door }: { volume: string; door: Door & { kind: "tcp" } }) {
  const may = useMay();
  const [text, setText] = useState<string | undefined>(undefined);
  const make = useAction(async () => {
    const machines = await api.machines();
    const owner = machines.find((machine) => machine.volumes.some((each) => each.name === volume));
    const machine = owner ?? (await api.createMachine({ name: volume, volumes: [volume] }));
    const made = await api.createCredential(machine.name, { name: `${volume}-host`, readOnly: false });
    setText(certificateCommand(made));
  });
  if (!may("createMachine")) {
    return <Notice>The machine needs a certificate for {door.host}. An administrator makes it.</Notice>;
  }
  return (
    <div class="stack-tight">
      <h3>First: a certificate for the machine</h3>
      <p class="quiet small">
        Through this door a machine gets at its own disks alone. The private key is shown once, here, and kept nowhere.
      </p>
      <Trouble error={make.error} />
      {text === undefined ? (
        <div>
          <Button busy={make.busy} onClick={() => void make.run()}>
            Make a certificate
          </Button>
        </div>
      ) : (
        <Copyable text={text} label="the certificate" />
      )}
    </div>
  );
}

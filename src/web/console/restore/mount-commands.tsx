/** The commands that attach a disk, by where they are run and by program. */
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Copyable } from "../parts/copyable.tsx";
import { ChoiceField, SelectField, TextField } from "../parts/field.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded, Notice } from "../parts/notice.tsx";
import { useResource } from "../resource.ts";
import { CERTIFICATE_DIR } from "../shell-words.ts";
import { commandsOf, doorsOf, type Door } from "./nbd-commands.ts";

/** @param props.at - undefined: the live disk */
export function MountCommands({ volume, at }: { volume: string; at?: string }) {
  const doors = useResource(() => api.doors(), []);
  return (
    <Loaded of={doors}>
      {(found) => (
        <Commands doors={doorsOf(found, location.hostname)} volume={volume} {...(at === undefined ? {} : { at })} />
      )}
    </Loaded>
  );
}

function Commands({ doors, volume, at }: { doors: readonly Door[]; volume: string; at?: string }) {
  const [doorId, setDoor] = useState(doors[0]?.id ?? "");
  const [folder, setFolder] = useState(CERTIFICATE_DIR);
  const [program, setProgram] = useState("nbd-client");
  const door = doors.find((each) => each.id === doorId) ?? doors[0];
  if (!door) return null;
  const commands = commandsOf(door, volume, at, folder.trim() || CERTIFICATE_DIR);
  const command = commands.find((each) => each.id === program) ?? commands[0]!;
  return (
    <div class="stack">
      <ChoiceField
        label="Run it"
        value={door.id}
        onInput={setDoor}
        choices={doors.map(({ id, label }) => ({ value: id, label }))}
      />
      {doors.every(({ place }) => place.kind === "socket") && (
        <Notice title="These commands work on the appliance itself">
          Other machines cannot reach the disks until an administrator lets the appliance listen on the network.
          {at !== undefined && " From another machine, download the disk as a file instead."}
        </Notice>
      )}
      {door.needsCredential && (
        <Notice title="A certificate is needed">
          This door asks for the certificate of a machine that has the disk. Make one under{" "}
          <Link to="/machines">Machines</Link>, and put its three files on the client.
        </Notice>
      )}
      {door.place.kind === "tcp" && door.place.tls && (
        <TextField
          label="Folder on the client"
          hint={
            door.needsCredential
              ? "Where ca-cert.pem, client-cert.pem and client-key.pem lie there."
              : "With ca-cert.pem, the authority that signed the appliance's certificate."
          }
          value={folder}
          onInput={setFolder}
          maxLength={1000}
          mono
        />
      )}
      <SelectField
        label="Program"
        value={program}
        onInput={setProgram}
        choices={commands.map(({ id, label }) => ({ value: id, label }))}
      />
      <p class="small quiet">{command.hint}</p>
      <Copyable text={command.text} label={`the commands for ${command.label}`} />
      {command.files !== undefined && (
        <>
          <p class="small quiet">To get at its files:</p>
          <Copyable text={command.files} label="the commands that mount it" />
        </>
      )}
      {command.end !== undefined && (
        <>
          <p class="small quiet">When you have what you need, detach it:</p>
          <Copyable text={command.end} label="the commands that detach it" />
        </>
      )}
    </div>
  );
}

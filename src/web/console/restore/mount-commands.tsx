/** The commands that attach a disk, by where they are run and by program. */
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Copyable } from "../parts/copyable.tsx";
import { ChoiceField, SelectField } from "../parts/field.tsx";
import { Loaded, Notice } from "../parts/notice.tsx";
import { useResource } from "../resource.ts";
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
  const [program, setProgram] = useState("nbd-client");
  const door = doors.find((each) => each.id === doorId) ?? doors[0];
  if (!door) return null;
  const commands = commandsOf(door, volume, at);
  const command = commands.find((each) => each.id === program) ?? commands[0]!;
  return (
    <div class="stack">
      <ChoiceField
        label="Run it"
        value={door.id}
        onInput={setDoor}
        choices={doors.map(({ id, label }) => ({ value: id, label }))}
      />
      {door.needsCredential && (
        <Notice title="A credential is needed">
          Clients come with the certificate of a machine. Make one on the appliance with{" "}
          <code>sternway credential</code>, copy its folder to the client, and put the folder's path for FOLDER.
        </Notice>
      )}
      {!door.needsCredential && door.place.kind === "tcp" && door.place.tls && (
        <p class="small">
          FOLDER is a folder with the authority that signed the appliance's certificate, as ca-cert.pem.
        </p>
      )}
      <SelectField
        label="Program"
        value={program}
        onInput={setProgram}
        choices={commands.map(({ id, label }) => ({ value: id, label }))}
      />
      <p class="small quiet">{command.hint}</p>
      <Copyable text={command.text} label={`the commands for ${command.label}`} />
    </div>
  );
}

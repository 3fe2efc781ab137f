/** Where a tier is: kind of place, address, and the file with what opens it. Secrets are in files that the appliance reads; none goes through the browser. */
import { useState } from "preact/hooks";
import { ChoiceField, TextField } from "./parts/field.tsx";

type PlaceKind = "file" | "s3" | "https";

const PLACES: Record<PlaceKind, { label: string; hint: string; example: string; secret?: string }> = {
  file: { label: "A disk or mounted share", hint: "a folder on the appliance", example: "file:///mnt/usb" },
  s3: {
    label: "An S3 service",
    hint: "in a bucket",
    example: "s3://backups/web?endpoint=https://s3.example.org&region=eu-1",
    secret: "A file on the appliance with the lines accessKeyId=… and secretAccessKey=…",
  },
  https: {
    label: "Another Sternway appliance",
    hint: "in a place that it keeps for this one",
    example: "https://backup.example.org:7481/web",
    secret: "A file on the appliance with the token that the other one gave",
  },
};

/** What is entered of a place. */
export interface PlaceEntry {
  kind: PlaceKind;
  setKind: (kind: PlaceKind) => void;
  url: string;
  setUrl: (url: string) => void;
  secretFile: string;
  setSecretFile: (path: string) => void;
  /** As requests carry it. */
  place: { url: string; secretFile?: string };
  isComplete: boolean;
}

export function usePlaceEntry(): PlaceEntry {
  const [kind, setKind] = useState<PlaceKind>("file");
  const [url, setUrl] = useState("");
  const [secretFile, setSecretFile] = useState("");
  const place = {
    url: url.trim(),
    ...(secretFile.trim() === "" || kind === "file" ? {} : { secretFile: secretFile.trim() }),
  };
  return { kind, setKind, url, setUrl, secretFile, setSecretFile, place, isComplete: place.url !== "" };
}

export function PlaceFields({ of }: { of: PlaceEntry }) {
  const { example, secret } = PLACES[of.kind];
  return (
    <>
      <ChoiceField
        label="Place"
        value={of.kind}
        onInput={of.setKind}
        choices={(["file", "s3", "https"] as const).map((value) => ({ value, ...PLACES[value] }))}
      />
      <TextField
        label="Address"
        value={of.url}
        onInput={of.setUrl}
        placeholder={example}
        hint={`Such as ${example}`}
        mono
      />
      {secret !== undefined && (
        <TextField
          label="Secret"
          hint={secret}
          value={of.secretFile}
          onInput={of.setSecretFile}
          placeholder="/etc/sternway/tier.secret"
          mono
        />
      )}
    </>
  );
}

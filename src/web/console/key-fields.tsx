/** The key of a vault, as a dialog asks for it: a passphrase, or the path of a file that the appliance reads. */
import type { VaultKey } from "../../contract/contract.ts";
import { useState } from "preact/hooks";
import { ChoiceField, TextField } from "./parts/field.tsx";

type KeyKind = "none" | "passphrase" | "file";

/** What is entered of a key. */
export interface KeyEntry {
  kind: KeyKind;
  setKind: (kind: KeyKind) => void;
  passphrase: string;
  setPassphrase: (text: string) => void;
  file: string;
  setFile: (text: string) => void;
  /** Undefined: none is given. */
  key: VaultKey | undefined;
  /** Whether it can be sent as it stands. */
  isComplete: boolean;
}

/** @param initial - what is chosen at first */
export function useKey(initial: KeyKind): KeyEntry {
  const [kind, setKind] = useState<KeyKind>(initial);
  const [passphrase, setPassphrase] = useState("");
  const [file, setFile] = useState("");
  const key: VaultKey | undefined =
    kind === "passphrase" ? { passphrase } : kind === "file" ? { keyFile: file.trim() } : undefined;
  const isComplete = kind === "none" || (kind === "passphrase" ? passphrase !== "" : file.trim().startsWith("/"));
  return { kind, setKind, passphrase, setPassphrase, file, setFile, key, isComplete };
}

/** @param props.withNone - what going without a key is called; absent: one is needed */
export function KeyFields({ of, withNone }: { of: KeyEntry; withNone?: string }) {
  return (
    <>
      <ChoiceField
        label="Key"
        value={of.kind}
        onInput={of.setKind}
        choices={[
          ...(withNone === undefined ? [] : [{ value: "none" as const, label: withNone }]),
          { value: "passphrase" as const, label: "A passphrase" },
          { value: "file" as const, label: "A key file on the appliance" },
        ]}
      />
      {of.kind === "passphrase" && (
        <TextField
          label="Passphrase"
          type="password"
          value={of.passphrase}
          onInput={of.setPassphrase}
          autocomplete="off"
        />
      )}
      {of.kind === "file" && (
        <TextField
          label="Path of the file"
          placeholder="/etc/sternway/vault.key"
          value={of.file}
          onInput={of.setFile}
          mono
        />
      )}
    </>
  );
}

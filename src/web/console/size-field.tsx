/** A field for sizes as people write them: `20 GiB`, `1.5T`, `512M`. */
import { useState } from "preact/hooks";
import { TextField } from "./parts/field.tsx";
import { readSize } from "./sizes.ts";

export interface SizeText {
  text: string;
  setText: (text: string) => void;
  /** Undefined: it is no size that a volume can have. */
  bytes: number | undefined;
  /** What is wrong with it; undefined also while nothing is entered. */
  error: string | undefined;
}

/** @param initial - as written */
export function useSizeText(initial = ""): SizeText {
  const [text, setText] = useState(initial);
  return { text, setText, ...readSize(text) };
}

export function SizeField({ label, size, hint }: { label: string; size: SizeText; hint?: string }) {
  return (
    <TextField
      label={label}
      hint={hint ?? "Such as 20 GiB, 500 MiB or 2 TiB"}
      value={size.text}
      onInput={size.setText}
      error={size.error}
      autocomplete="off"
    />
  );
}

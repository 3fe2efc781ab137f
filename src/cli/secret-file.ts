/** A new file for something that is told once: made before it is asked for, so that nothing is told that cannot be kept. */
import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { systemError } from "../base/descriptor.ts";

export interface SecretFile {
  /** Writes it, as one line, and closes the file. */
  write(secret: string): void;
  /** Nothing is to be kept: closes the file and removes it. */
  discard(): void;
}

/** Makes the file, of mode 0600. @throws conflict: there is one; denied, not_found, unavailable: it cannot be made */
export function newSecretFile(path: string): SecretFile {
  let descriptor: number;
  try {
    descriptor = openSync(path, "wx", 0o600);
  } catch (error) {
    throw systemError(error, `the file ${path} cannot be made`);
  }
  return {
    write(secret) {
      writeSync(descriptor, `${secret}\n`);
      fsyncSync(descriptor);
      closeSync(descriptor);
    },
    discard() {
      closeSync(descriptor);
      unlinkSync(path);
    },
  };
}

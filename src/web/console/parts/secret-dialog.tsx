/** A secret that is shown once: to be copied to where it is used, and gone when the dialog closes. */
import type { ComponentChildren } from "preact";
import { Button } from "./button.tsx";
import { Copyable } from "./copyable.tsx";
import { Dialog } from "./dialog.tsx";
import { Notice } from "./notice.tsx";

export interface SecretDialogProps {
  title: string;
  secret: string;
  /** What it is, for the button that copies it: `the token`. */
  label: string;
  /** Where it belongs. */
  advice: string;
  onClose: () => void;
  /** Below the secret: what else is needed with it. */
  children?: ComponentChildren;
}

export function SecretDialog({ title, secret, label, advice, onClose, children }: SecretDialogProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <Notice tone="warn" title="It is shown this once">
        {advice}
      </Notice>
      <Copyable text={secret} label={label} />
      {children}
      <div class="row-end">
        <Button kind="primary" onClick={onClose}>
          I have it
        </Button>
      </div>
    </Dialog>
  );
}

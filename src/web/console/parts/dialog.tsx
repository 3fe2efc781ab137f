/** Dialogs: the browser's own `<dialog>`, which keeps the focus inside, closes by Escape and gives the focus back. */
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useAction } from "../resource.ts";
import { Button } from "./button.tsx";
import { TextField } from "./field.tsx";
import { focusIfLost } from "./lost-focus.ts";
import { Trouble } from "./notice.tsx";

export interface DialogProps {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ComponentChildren;
}

/** Open as long as it is drawn. */
export function Dialog({ title, onClose, wide = false, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => {
      dialog?.close();
      // The browser gives the focus back for a dialog that stays in the page; this one is taken out of it.
      if (before instanceof HTMLElement) before.focus();
      focusIfLost(null);
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "dialog dialog-wide" : "dialog"}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

export interface FormDialogProps {
  title: string;
  /** On the button that does it. */
  submit: string;
  kind?: "primary" | "danger-filled";
  /** Why it cannot be done as it stands; undefined: it can. */
  disabled?: boolean;
  wide?: boolean;
  /** Does it; the dialog closes when this succeeds, and shows why when it does not. */
  onSubmit: () => Promise<void>;
  onClose: () => void;
  children: ComponentChildren;
}

/** A dialog that is a form: fields, then a button that does it and one that does not. */
export function FormDialog(props: FormDialogProps) {
  const { title, submit, kind = "primary", disabled = false, wide = false, onSubmit, onClose, children } = props;
  const action = useAction(onSubmit);
  return (
    <Dialog title={title} onClose={onClose} wide={wide}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run().then((done) => {
            if (done) onClose();
          });
        }}
      >
        {children}
        <Trouble error={action.error} />
        <div class="row-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind={kind} busy={action.busy} disabled={disabled}>
            {submit}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export interface ConfirmProps {
  title: string;
  submit: string;
  /** Must be typed before it can be done: for what cannot be undone. */
  name?: string;
  onSubmit: () => Promise<void>;
  onClose: () => void;
  /** What it does, in plain words. */
  children: ComponentChildren;
}

/** Asks before something that harms if it was not meant. */
export function Confirm({ title, submit, name, onSubmit, onClose, children }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  return (
    <FormDialog
      title={title}
      submit={submit}
      kind="danger-filled"
      disabled={name !== undefined && typed !== name}
      onSubmit={onSubmit}
      onClose={onClose}
    >
      <div class="stack-tight">{children}</div>
      {name !== undefined && (
        <TextField label={`Type ${name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
      )}
    </FormDialog>
  );
}

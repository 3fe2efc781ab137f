/** The lower half of a review that changes something: what is asked, why it went wrong, and the two ways on. */
import type { ComponentChildren } from "preact";
import { Button } from "../parts/button.tsx";
import { CheckField } from "../parts/field.tsx";
import { Trouble } from "../parts/notice.tsx";
import type { Action } from "../resource.ts";
import { several } from "../timeline/time.ts";

export interface ReviewFormProps {
  doing: Action<[]>;
  /** On the button that does it. */
  submit: string;
  /** Everything that it needs is entered and agreed to. */
  isReady: boolean;
  /** It changes a disk that may be in use. */
  isDangerous?: boolean;
  /** Above the reason when it fails: what did not happen. */
  trouble?: string;
  onBack: () => void;
  /** Called after it failed: what the review shows may be out of date then. */
  onFailed?: () => void;
  children: ComponentChildren;
}

export function ReviewForm(props: ReviewFormProps) {
  const { doing, submit, isReady, isDangerous = false, trouble, onBack, onFailed, children } = props;
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isReady) return;
        void doing.run().then((isDone) => {
          if (!isDone) onFailed?.();
        });
      }}
    >
      {children}
      <Trouble error={doing.error} {...(trouble === undefined ? {} : { title: trouble })} />
      <div class="row-end">
        <Button onClick={onBack}>Back</Button>
        <Button type="submit" kind={isDangerous ? "danger-filled" : "primary"} busy={doing.busy} disabled={!isReady}>
          {submit}
        </Button>
      </div>
    </form>
  );
}

export interface ForceFieldProps {
  /** Clients on the live disks; without any nothing is asked. */
  attached: number;
  force: boolean;
  onForce: (force: boolean) => void;
  onLookAgain: () => void;
}

/** Asks for more than a click where somebody uses what is rolled back. */
export function ForceField({ attached, force, onForce, onLookAgain }: ForceFieldProps) {
  if (attached === 0) return null;
  return (
    <div class="stack-tight">
      <CheckField
        label={`Roll back although ${several(attached, "client")} ${attached === 1 ? "is" : "are"} attached`}
        hint="Their file systems will be damaged unless they are shut down."
        checked={force}
        onInput={onForce}
      />
      <div>
        <Button size="small" onClick={onLookAgain}>
          Look again who is attached
        </Button>
      </div>
    </div>
  );
}

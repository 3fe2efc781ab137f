/** What came of a restore. It stands in place of the form that asked for it and takes over the focus, which would be lost with the form's button. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { ButtonLink } from "../parts/link.tsx";
import { Notice } from "../parts/notice.tsx";

export interface OutcomeProps {
  title: string;
  /** Only a part of it was done. */
  isPartial?: boolean;
  children: ComponentChildren;
}

export function Outcome({ title, isPartial = false, children }: OutcomeProps) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => place.current?.focus(), []);
  return (
    <div ref={place} tabIndex={-1}>
      <Notice tone={isPartial ? "bad" : "good"} live title={title}>
        {children}
      </Notice>
    </div>
  );
}

export interface RolledBackProps extends OutcomeProps {
  /** The moment before, as the API takes it. */
  undo: string;
  /** Address of the review that goes back to it. */
  undoPath: string;
  timelinePath: string;
}

/** A rollback, and how to undo it. */
export function RolledBack({ undo, undoPath, timelinePath, children, ...outcome }: RolledBackProps) {
  return (
    <Outcome {...outcome}>
      <div class="stack">
        {children}
        <p>
          To undo this, roll back to the moment before: <code data-testid="undo">{undo}</code>.
        </p>
        <div class="row">
          <ButtonLink to={undoPath}>Undo this</ButtonLink>
          <ButtonLink to={timelinePath}>Back to the timeline</ButtonLink>
        </div>
      </div>
    </Outcome>
  );
}

/** What the console says by itself: notices, troubles, badges, and the states of what is being loaded. */
import type { ComponentChildren } from "preact";
import type { Resource } from "../resource.ts";
import { troubleOf } from "../words.ts";
import { Button } from "./button.tsx";

export type Tone = "plain" | "good" | "warn" | "bad" | "accent";

export interface NoticeProps {
  tone?: Tone;
  title?: string;
  /** Said by screen readers at once: for what appears in answer to something. */
  live?: boolean;
  children?: ComponentChildren;
}

export function Notice({ tone = "plain", title, live = false, children }: NoticeProps) {
  return (
    <div class={`notice notice-${tone}`} role={live ? (tone === "bad" ? "alert" : "status") : undefined}>
      {title !== undefined && <p class="notice-title">{title}</p>}
      {children !== undefined && <div>{children}</div>}
    </div>
  );
}

/** What went wrong and what to do; nothing when there is no error. */
export function Trouble({ error, title }: { error: unknown; title?: string }) {
  if (error === undefined) return null;
  const { message, todo } = troubleOf(error);
  return (
    <Notice tone="bad" live {...(title === undefined ? {} : { title })}>
      <p>{message}</p>
      {todo !== undefined && <p class="small">{todo}</p>}
    </Notice>
  );
}

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge badge-${tone}`}>{children}</span>;
}

/** A resource's value drawn; before there is one, that it is loaded, or why it cannot be had. */
export function Loaded<Value>({
  of,
  children,
}: {
  of: Resource<Value>;
  children: (value: Value) => ComponentChildren;
}) {
  if (of.value === undefined) {
    if (of.error === undefined)
      return (
        <p class="quiet" aria-busy="true" aria-live="polite">
          Loading…
        </p>
      );
    return (
      <div class="stack-tight">
        <Trouble error={of.error} />
        <div>
          <Button onClick={of.reload} busy={of.loading}>
            Try again
          </Button>
        </div>
      </div>
    );
  }
  return (
    <>
      {of.error !== undefined && (
        <Notice tone="warn" live title="This may be out of date">
          {troubleOf(of.error).message}
        </Notice>
      )}
      {children(of.value)}
    </>
  );
}

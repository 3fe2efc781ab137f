/** Buttons. While what one asked for is under way it says so and takes no second click, yet keeps the focus. */
import type { ComponentChildren } from "preact";

export interface ButtonProps {
  kind?: "primary" | "plain" | "danger" | "danger-filled" | "quiet";
  size?: "small";
  type?: "button" | "submit";
  busy?: boolean;
  disabled?: boolean;
  /** Where the words on it do not say enough by themselves, such as "Delete" in each row of a list. */
  label?: string;
  expanded?: boolean;
  controls?: string;
  onClick?: (event: MouseEvent) => void;
  children: ComponentChildren;
}

export function Button(props: ButtonProps) {
  const { kind = "plain", size, type = "button", busy = false, disabled = false, label, onClick, children } = props;
  return (
    <button
      type={type}
      class={`button button-${kind}${size === undefined ? "" : ` button-${size}`}`}
      disabled={disabled}
      aria-disabled={busy ? "true" : undefined}
      aria-busy={busy ? "true" : undefined}
      aria-label={label}
      aria-expanded={props.expanded}
      aria-controls={props.controls}
      onClick={(event) => {
        if (busy) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {busy ? "Working…" : children}
    </button>
  );
}

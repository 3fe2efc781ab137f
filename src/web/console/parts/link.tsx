/** Links within the console: real addresses, so that they can be copied and opened beside, answered without loading the page anew. */
import type { ComponentChildren } from "preact";
import { isPlainClick, navigate } from "../route.ts";

export interface LinkProps {
  to: string;
  class?: string;
  children: ComponentChildren;
  "aria-current"?: "page" | undefined;
  "aria-label"?: string;
}

export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(event) => {
        if (!isPlainClick(event)) return;
        event.preventDefault();
        navigate(to);
      }}
    >
      {children}
    </a>
  );
}

/** A link that looks like a button: for going somewhere, where a button would do something. */
export function ButtonLink({ kind, ...rest }: LinkProps & { kind?: "primary" | "plain" | "quiet" }) {
  return <Link {...rest} class={`button button-${kind ?? "plain"} ${rest.class ?? ""}`} />;
}

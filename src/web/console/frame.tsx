/** The frame of every page behind the sign-in: where one can go, who is signed in, and what needs to be known everywhere. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { isWithin, navigationFor } from "./navigation.ts";
import { Button } from "./parts/button.tsx";
import { Link } from "./parts/link.tsx";
import { usePlace } from "./route.ts";
import { roleMay } from "../../contract/rights.ts";
import { useSession, useWho } from "./session.tsx";
import { useAction } from "./resource.ts";
import { Trouble } from "./parts/notice.tsx";

export function Frame({ children }: { children: ComponentChildren }) {
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  const mayRestore = roleMay(useWho().role, "getImage");
  useEffect(() => setOpen(false), [path]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <Brand />
        <div class="row">
          {mayRestore && !open && (
            <Link to="/restore" class="button button-primary button-small">
              Restore
            </Link>
          )}
          <Button size="small" expanded={open} controls="side" onClick={() => setOpen(!open)}>
            {open ? "Close menu" : "Menu"}
          </Button>
        </div>
      </header>
      <div class="frame">
        <Side path={path} open={open} />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
    </>
  );
}

function Side({ path, open }: { path: string; open: boolean }) {
  const who = useWho();
  const item = (label: string, to: string, look?: string) => (
    <Link
      to={to}
      {...(look === undefined ? {} : { class: look })}
      aria-current={isWithin(to, path) ? "page" : undefined}
    >
      {label}
    </Link>
  );
  return (
    <div class="side" id="side" data-open={String(open)}>
      <Brand />
      <nav class="nav" aria-label="Main">
        <div class="stack-tight">
          {roleMay(who.role, "getImage") && item("Restore", "/restore", "button button-primary")}
          <div class="nav-group">
            <ul>
              <li>{item("Overview", "/")}</li>
            </ul>
          </div>
        </div>
        {navigationFor(who.role).map((group) => (
          <div key={group.title} class="nav-group">
            <p class="nav-title" id={`nav-${group.items[0]?.path.slice(1)}`}>
              {group.title}
            </p>
            <ul aria-labelledby={`nav-${group.items[0]?.path.slice(1)}`}>
              {group.items.map((each) => (
                <li key={each.path}>{item(each.label, each.path)}</li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <WhoIsThis />
    </div>
  );
}

function WhoIsThis() {
  const who = useWho();
  const { signOut } = useSession();
  const leaving = useAction(signOut);
  return (
    <div class="who">
      <span>
        <span class="hidden-visually">Signed in as </span>
        <Link to="/account">{who.name}</Link>
        <br />
        <span class="quiet">{who.role}</span>
      </span>
      <Trouble error={leaving.error} />
      <div>
        <Button size="small" busy={leaving.busy} onClick={() => void leaving.run()}>
          Sign out
        </Button>
      </div>
    </div>
  );
}

export function Brand() {
  return (
    <Link to="/" class="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="7" fill="var(--accent)" />
        <path
          d="M25 10v7a4 4 0 0 1-4 4H8m5-5-5 5 5 5"
          fill="none"
          stroke="var(--on-accent)"
          stroke-width="3"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      </svg>
      Sternway
    </Link>
  );
}

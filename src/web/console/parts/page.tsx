/**
 * A page and its cards. The heading takes the focus when somebody goes to a page, so that a screen reader says where it is and the tab key begins at its top;
 * what they pressed is gone by then. The first page leaves it where it is, or the skip link could not be reached.
 */
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { takeFollowed, usePlace } from "../route.ts";
import { Link } from "./link.tsx";

export interface PageProps {
  title: string;
  /** One or two sentences: what this is for. */
  intro?: ComponentChildren;
  /** Buttons beside the heading. */
  actions?: ComponentChildren;
  /** Where it belongs to, above the heading. */
  back?: { to: string; label: string };
  children: ComponentChildren;
}

export function Page({ title, intro, actions, back, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { path, query } = usePlace();
  useLayoutEffect(() => {
    document.title = `${title} · Sternway`;
  }, [title]);
  // A page that goes on at another address, as the steps of a restore do, is a new one to whoever reads it.
  useLayoutEffect(() => {
    if (!takeFollowed()) return;
    heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [path, String(query)]);
  return (
    <div class="page">
      <div class="page-head">
        <div class="page-head-words">
          {back && (
            <Link to={back.to} class="page-back">
              ← {back.label}
            </Link>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {intro !== undefined && <p class="page-intro">{intro}</p>}
        </div>
        {actions !== undefined && <div class="row-end">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export interface CardProps {
  /** Absent: a frame without a heading. */
  title?: string;
  actions?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

export function Card({ title, actions, class: more, children }: CardProps) {
  const id = useId();
  return (
    <section class={`card ${more ?? ""}`} aria-labelledby={title === undefined ? undefined : id}>
      {(title !== undefined || actions !== undefined) && (
        <div class="card-head">
          {title !== undefined && <h2 id={id}>{title}</h2>}
          {actions !== undefined && <div class="row">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

/** Names and what belongs to them. Pairs whose value is undefined are left out. */
export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [<dt key={`${name}:name`}>{name}</dt>, <dd key={name}>{value}</dd>])}
    </dl>
  );
}

/** What stands where a list has nothing yet: why that is, and what to do. */
export function Empty({ children, action }: { children: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{children}</p>
      {action}
    </div>
  );
}

/** What all reviews share: the consequences as a list, then the way on. */
import type { ComponentChildren } from "preact";
import { Badge } from "../parts/notice.tsx";
import { Card } from "../parts/page.tsx";
import type { Consequence } from "./consequences.ts";

export function ReviewFrame({
  title,
  consequences,
  children,
}: {
  title: string;
  consequences: readonly Consequence[];
  children: ComponentChildren;
}) {
  return (
    <Card title={title} class="review">
      <dl class="consequences">
        {consequences.map(({ about, text, isWarning }) => (
          <div key={about}>
            <dt>
              {about} {isWarning === true && <Badge tone="warn">look twice</Badge>}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      {children}
    </Card>
  );
}

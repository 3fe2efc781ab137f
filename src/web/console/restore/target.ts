/**
 * A place to restore to. Each is a file in targets/ that draws its own review, does the work and says what to do next; `targets.ts` lists them in the order in which
 * people are asked.
 */
import type { ComponentType } from "preact";
import type { OperationId } from "../../../contract/contract.ts";
import type { Plan, Subject } from "./plan.ts";

export interface ReviewProps {
  plan: Plan;
  /** Back to the choice of a target. */
  onBack: () => void;
}

export interface RestoreTarget {
  /** In addresses; never changes. */
  id: string;
  title: string;
  /** One line: when to take it. */
  summary: string;
  /** It changes a disk that may be in use. */
  isDangerous: boolean;
  /** All of them are needed. @param subject - a machine has operations of its own */
  needs: (subject: Subject) => readonly OperationId[];
  /** Whether it can restore such a thing at all. */
  takes: (subject: Subject) => boolean;
  Review: ComponentType<ReviewProps>;
}

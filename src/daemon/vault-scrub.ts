/** The scrub of all vaults of a running appliance as one: lines of each in turn, one line `end` for all. */
import { SternwayError } from "../base/errors.ts";
import type { ScrubAdmin } from "../api/app.ts";
import type { ScrubRequest, ScrubStatus } from "../contract/contract.ts";
import type { ScrubRunLine } from "./scrub-task.ts";
import type { VaultSlot } from "./vault-slot.ts";

export class VaultScrubs implements ScrubAdmin {
  private readonly cycleDays: number;
  private readonly slots: (vault: string | undefined) => readonly VaultSlot[];

  /** @param slots - the open vaults to look at: all, or the one of that name @throws by slots: not_found, or why that one is closed */
  constructor(cycleDays: number, slots: (vault: string | undefined) => readonly VaultSlot[]) {
    this.cycleDays = cycleDays;
    this.slots = slots;
  }

  status(): ScrubStatus {
    const vaults = this.slots(undefined).flatMap(({ engine }) => (engine?.scrub ? [engine.scrub.status()] : []));
    return { cycleDays: this.cycleDays, vaults };
  }

  async *run(request: ScrubRequest, signal: AbortSignal): AsyncGenerator<ScrubRunLine, void, undefined> {
    const all = { line: "end" as const, objects: 0, bytes: 0, findings: 0, restored: 0, damaged: 0 };
    const slots = this.slots(request.vault).filter(({ engine }) => engine?.scrub);
    if (slots.length === 0) {
      const which = request.vault === undefined ? "no vault" : `vault ${request.vault}`;
      const what =
        request.vault === undefined ? "is open for writing here" : "is only read here, or its files are still coming";
      throw new SternwayError(
        "unavailable",
        `${which} ${what}: nothing was scrubbed; \`sternway check\` reads all of it`,
      );
    }
    for (const slot of slots) {
      if (!slot.engine?.scrub) continue;
      slot.readers++;
      try {
        for await (const line of slot.engine.scrub.run(request, signal)) {
          if (line.line !== "end") {
            yield line;
            continue;
          }
          all.objects += line.objects;
          all.bytes += line.bytes;
          all.findings += line.findings;
          all.restored += line.restored;
          all.damaged += line.damaged;
        }
      } finally {
        slot.readers--;
      }
      if (signal.aborted) return;
    }
    yield all;
  }
}

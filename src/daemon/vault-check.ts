/** The check of all vaults of a running appliance as one: lines of each in turn, one line `end` for all. One check runs at a time. */
import { errorText, SternwayError } from "../base/errors.ts";
import type { CheckLine, CheckRequest } from "../contract/contract.ts";
import type { VaultSlot } from "./vault-slot.ts";

type Line = Exclude<CheckLine, { line: "failed" }>;

export class VaultCheck {
  private running = false;

  /** Checks these vaults, each while it is held open; one that is closed is passed over with a warning. @throws conflict: a check runs */
  async *run(
    slots: () => readonly VaultSlot[],
    request: CheckRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Line, void, undefined> {
    if (this.running) throw new SternwayError("conflict", "a check is running already; GET /v1/jobs shows it");
    this.running = true;
    try {
      const end = { line: "end" as const, findings: 0, objects: 0, bytes: 0 };
      for (const slot of slots()) {
        if (!slot.engine) {
          yield notChecked(slot);
          continue;
        }
        slot.readers++;
        try {
          for await (const line of slot.engine.check(request, signal)) {
            if (line.line === "end") {
              end.findings += line.findings;
              end.objects += line.objects;
              end.bytes += line.bytes;
            } else yield line;
          }
        } finally {
          slot.readers--;
        }
        if (signal.aborted) return;
      }
      yield end;
    } finally {
      this.running = false;
    }
  }
}

function notChecked(slot: VaultSlot): Line {
  const { state } = slot.closed;
  return {
    line: "finding",
    severity: "warning",
    subject: `vault ${slot.name}`,
    message: `it was not checked: ${errorText(slot.closedError())}`,
    facts: { vault: slot.name, state },
  };
}

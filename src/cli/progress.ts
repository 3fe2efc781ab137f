/** Progress of long commands on standard error: one line redrawn on a terminal, a line now and then elsewhere if asked for. */
import { formatSize } from "../base/units.ts";
import type { Terminal } from "./terminal.ts";
import { showSeconds } from "./text.ts";

export interface Progress {
  doneBytes: number;
  totalBytes: number;
}

export interface Meter {
  /** Draws at most a few times a second, however often it is called. */
  update(phase: string, progress: Progress): void;
  /** Ends the line, so that what follows starts on its own. */
  end(): void;
}

const REDRAW_MICROS = 200_000;
const LINE_MICROS = 5_000_000;
/** The rate is that of the last seconds: what happened minutes ago tells nothing of the time left. */
const RATE_WINDOW_MICROS = 10_000_000;

/** @param always - also where standard error is no terminal (`--progress`) */
export function meter(terminal: Terminal, always: boolean): Meter {
  if (!terminal.errIsTerminal && !always) return { update: () => undefined, end: () => undefined };
  const { clock, errIsTerminal } = terminal;
  let lastDrawn = Number.NEGATIVE_INFINITY;
  let drawnPhase = "";
  let samples: { at: number; bytes: number }[] = [];

  const draw = (text: string): void => terminal.err(errIsTerminal ? `\r${text.padEnd(78).slice(0, 78)}` : `${text}\n`);
  return {
    update(phase, progress) {
      const now = clock.monotonic();
      if (phase !== drawnPhase) {
        if (drawnPhase !== "" && errIsTerminal) terminal.err("\n");
        samples = [];
        lastDrawn = Number.NEGATIVE_INFINITY;
      }
      const finished = progress.doneBytes >= progress.totalBytes;
      if (now - lastDrawn < (errIsTerminal ? REDRAW_MICROS : LINE_MICROS) && !finished) return;
      lastDrawn = now;
      drawnPhase = phase;
      samples.push({ at: now, bytes: progress.doneBytes });
      while (samples.length > 2 && now - samples[0]!.at > RATE_WINDOW_MICROS) samples.shift();
      draw(progressLine(phase, progress, rate(samples)));
    },
    end() {
      if (drawnPhase !== "" && errIsTerminal) terminal.err("\n");
      drawnPhase = "";
    },
  };
}

function rate(samples: readonly { at: number; bytes: number }[]): number {
  const first = samples[0];
  const last = samples[samples.length - 1];
  if (first === undefined || last === undefined || last.at <= first.at) return 0;
  return ((last.bytes - first.bytes) * 1e6) / (last.at - first.at);
}

/** `copying   1.2 GiB of 4 GiB  30%  250 MiB/s  12 s left` */
export function progressLine(phase: string, { doneBytes, totalBytes }: Progress, bytesPerSecond: number): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((doneBytes / totalBytes) * 100);
  const speed = bytesPerSecond > 0 ? `  ${formatSize(Math.round(bytesPerSecond))}/s` : "";
  const left =
    bytesPerSecond > 0 && doneBytes < totalBytes
      ? `  ${showSeconds((totalBytes - doneBytes) / bytesPerSecond)} left`
      : "";
  return `${phase.padEnd(9)} ${formatSize(doneBytes)} of ${formatSize(totalBytes)}  ${percent}%${speed}${left}`;
}

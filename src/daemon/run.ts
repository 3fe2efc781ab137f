/** The daemon as a process: configuration, log, signals. `main.ts` calls it for `sternway serve`. */
import { systemClock } from "../base/clock.ts";
import { realDisk } from "../base/real-disk.ts";
import { loadConfig, type ConfigFlags } from "../config/config.ts";
import { createLog, defaultLogFormat } from "../observe/log.ts";
import type { AskPassphrase } from "./ask-at-start.ts";
import { startDaemon, type Daemon, type OpenEngine } from "./daemon.ts";
import { startKeys } from "./start-keys.ts";

/** One Ctrl-C often arrives twice: from the terminal, and passed on by a script around us. */
const SAME_REQUEST_MICROS = 1_000_000;

export interface RunOptions {
  dataDir: string;
  flags: ConfigFlags;
  environment: Record<string, string | undefined>;
  version: string;
  openEngine: OpenEngine;
  /** Asks whoever started it for a vault's passphrase; absent where nobody can be asked. */
  askPassphrase?: AskPassphrase | undefined;
  /** Called once it serves. @param setupCode - what the first set-up needs, while there is no account */
  onReady?: (addresses: Daemon["addresses"], setupCode: string | undefined) => void;
}

/**
 * Serves until SIGTERM or SIGINT, then drains and stops. A second signal, a second or more later, ends the process at once, which
 * costs nothing that was answered: a killed appliance recovers.
 * @throws SternwayError: it could not start, or not stop cleanly
 */
export async function runDaemon(options: RunOptions): Promise<void> {
  const { dataDir, environment, flags } = options;
  const config = await loadConfig({ disk: realDisk, dataDir, environment, flags });
  const format = config.log.format === "auto" ? defaultLogFormat() : config.log.format;
  const log = createLog({ level: config.log.level, format });
  const asked = Promise.withResolvers<NodeJS.Signals>();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = systemClock.monotonic();
    firstAt ??= now;
    if (now - firstAt > SAME_REQUEST_MICROS) {
      log.warn({ signal }, "a second signal: ending at once; what was answered will be recovered");
      process.exit(signal === "SIGINT" ? 130 : 143);
    }
    asked.resolve(signal);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  try {
    const daemon = await startDaemon({
      dataDir,
      config,
      log,
      version: options.version,
      openEngine: options.openEngine,
      keyAtStart: startKeys(config.vaults, environment),
      askAtStart: options.askPassphrase,
    });
    options.onReady?.(daemon.addresses, daemon.setupCode);
    log.debug({ signal: await asked.promise }, "a signal asked to stop");
    const from = systemClock.monotonic();
    await daemon.stop();
    log.info({ tookMs: Math.round((systemClock.monotonic() - from) / 1000) }, "the appliance has stopped");
  } finally {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  }
}

/**
 * `DATA/vaults.json`: which volumes each vault held when it was last open. Read for vaults that are closed only, so that their volumes'
 * names stay taken, and whoever asks for one learns where it is; also how a vault whose folder has gone is still known.
 *
 *     {"format":1,"vaults":{"default":{"names":["web1","web2"]},"payroll":{"salt":"…","prints":["…"]}}}
 *
 * Of an encrypted vault no name lies here, but a print of each: 16 bytes of its HMAC-SHA256 under a salt, as hexadecimal. It tells whether
 * a name that somebody asks for is taken, and shows no name. Whoever reads the file can try names one by one, and see how many there are.
 *
 * The kind of an entry is also how the appliance remembers that a vault is encrypted: one that suddenly says that it is not was replaced.
 *
 * It is no source of truth: vaults know what they hold. It names, at every moment, at least what the vaults hold: a name is added
 * before its volume is made, and taken out after it is deleted. Lost or damaged, it is made anew from the vaults that open.
 */
import { createHmac } from "node:crypto";
import { z } from "zod";
import { isSternwayError } from "../base/errors.ts";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import type { Log } from "../observe/log.ts";

const PRINT_BYTES = 16;
/** Of the salt of one vault's prints. */
export const PRINT_SALT_BYTES = 16;

const hexOf = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const knownSchema = z.union([
  z.strictObject({ names: z.array(z.string()) }),
  z.strictObject({ salt: hexOf(PRINT_SALT_BYTES), prints: z.array(hexOf(PRINT_BYTES)) }),
]);
const storedSchema = z.object({ format: z.literal(1), vaults: z.record(z.string(), knownSchema) });

/** What is remembered of one vault: names, or, of an encrypted one, their prints. */
export type KnownVault = z.output<typeof knownSchema>;
export type KnownVolumes = Record<string, KnownVault>;

/** What may be kept of an encrypted vault's names. @param salt - {@link PRINT_SALT_BYTES}, of this vault alone */
export function printsOf(names: readonly string[], salt: Uint8Array): KnownVault {
  const text = Buffer.from(salt).toString("hex");
  return { salt: text, prints: names.map((name) => printOf(name, text)).sort() };
}

function printOf(name: string, salt: string): string {
  const mac = createHmac("sha256", Buffer.from(salt, "hex")).update(name).digest("hex");
  return mac.slice(0, 2 * PRINT_BYTES);
}

/** True when the vault held a volume of this name. */
export function isKnown(known: KnownVault, name: string): boolean {
  return "names" in known ? known.names.includes(name) : known.prints.includes(printOf(name, known.salt));
}

/** How many volumes the vault held. */
export const knownCount = (known: KnownVault): number => ("names" in known ? known.names.length : known.prints.length);

/** What was kept; nothing when the file is not there or cannot be read. */
export async function readKnownVolumes(disk: Disk, path: string, log: Log): Promise<KnownVolumes> {
  try {
    return storedSchema.parse(JSON.parse(new TextDecoder().decode(await readWhole(disk, path)))).vaults;
  } catch (error) {
    if (!isSternwayError(error, "not_found")) {
      log.warn(
        { err: error, path },
        "the names of closed vaults' volumes could not be read; they are learned again as vaults open",
      );
    }
    return {};
  }
}

/** Writes the file when it would change. One writer at a time; the newest request wins. */
export class KnownVolumesFile {
  private readonly disk: Disk;
  private readonly path: string;
  private written = "";
  private queue: Promise<void> = Promise.resolve();

  constructor(disk: Disk, path: string) {
    this.disk = disk;
    this.path = path;
  }

  /** Durable when it resolves. @throws unavailable */
  async write(current: () => KnownVolumes): Promise<void> {
    const turn = this.queue.then(async () => {
      const text = `${JSON.stringify({ format: 1, vaults: current() })}\n`;
      if (text === this.written) return;
      await publish(this.disk, this.path, [new TextEncoder().encode(text)]);
      this.written = text;
    });
    // The next one tries again whatever became of this one; its own caller hears of it.
    this.queue = turn.then(
      () => undefined,
      () => undefined,
    );
    await turn;
  }
}

/** The prompt for a passphrase on a real terminal: what is typed does not show, and the command ends. */
import { afterAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { secretOfPassphrase } from "../../../src/security/secret.ts";
import { createVault } from "../../../src/vault/open-vault.ts";
import { removeScratch, scratchFolder, sternwayCommand } from "../../support/daemon-process.ts";

const folder = scratchFolder();
afterAll(() => removeScratch(folder));

/** Runs a command on a terminal of its own and types each answer when its prompt shows. */
async function onTerminal(
  command: string[],
  answers: readonly (readonly [prompt: string, answer: string])[],
): Promise<{ code: number; screen: string }> {
  let screen = "";
  const left = [...answers];
  const child = Bun.spawn(command, {
    cwd: resolve(import.meta.dir, "../../.."),
    terminal: {
      cols: 100,
      rows: 30,
      data(terminal, bytes) {
        screen += new TextDecoder().decode(bytes);
        if (left.length > 0 && screen.endsWith(left[0]![0])) terminal.write(left.shift()![1]);
      },
    },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const code = await child.exited;
  clearTimeout(timer);
  return { code, screen };
}

test("a passphrase is typed unseen, a character taken back, and the vault opens by it; Ctrl-C gives up", async () => {
  const dir = join(folder, "vaults", "pay");
  await realDisk.mkdir(dir);
  await createVault(realDisk, dir, systemRandom, {
    journalFileBytes: 2 ** 20,
    encrypt: secretOfPassphrase("open sesame"),
  });
  const check = sternwayCommand(folder, "check", "--passphrase");
  const right = await onTerminal(check, [["Passphrase: ", "open sesamn\x7fe\r"]]);
  expect(right.screen).toContain("no damage");
  expect(right.screen).not.toContain("sesam");
  expect(right.code).toBe(0);
  const stopped = await onTerminal(check, [["Passphrase: ", "open\x03"]]);
  expect(stopped.screen).not.toContain("checked");
  expect(stopped.code).not.toBe(0);
}, 60_000);

/** The prompt for a passphrase on a real terminal: what is typed does not show, and the command ends. */
import { afterAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { secretOfPassphrase } from "../../../src/security/secret.ts";
import { createVault } from "../../../src/vault/open-vault.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternwayCommand } from "../../support/daemon-process.ts";

const folder = scratchFolder();
afterAll(() => removeScratch(folder));

/** Runs a command on a terminal of its own and types each answer when its prompt shows. */
async function onTerminal(
  command: string[],
  answers: readonly (readonly [prompt: string, answer: string])[],
): Promise<{ code: number; screen: string }> {
  let screen = "";
  let answered = 0;
  const left = [...answers];
  const child = Bun.spawn(command, {
    cwd: resolve(import.meta.dir, "../../.."),
    terminal: {
      cols: 100,
      rows: 30,
      data(terminal, bytes) {
        screen += new TextDecoder().decode(bytes);
        if (left.length === 0 || !screen.includes(left[0]![0], answered)) return;
        answered = screen.length;
        terminal.write(left.shift()![1]);
      },
    },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
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
}, 180_000);

test("serve asks at a terminal for what opens by a passphrase, goes on without one, and ends by Ctrl-C at the prompt", async () => {
  const data = join(folder, "serving");
  const config = { storage: { journalFileBytes: "4MiB" } };
  {
    await using daemon = await DaemonProcess.start(data, { config });
    await daemon.client.createVault("pay", { passphrase: "open sesame" });
    await daemon.stop();
  }
  const serve = sternwayCommand(data, "serve", "--http", "off", "--log-format", "json");
  const prompt = "(Enter leaves it locked): ";
  const served = "HTTP          off\r\n";
  const right = await onTerminal(serve, [
    [prompt, "open says me\r"],
    [prompt, "open sesame\r"],
    [served, "\x03"],
  ]);
  expect(right.screen).toContain("That is not it. Passphrase of vault pay");
  expect(right.screen).toContain("Sternway serves");
  expect(right.screen).not.toContain("sesame");
  expect(right.screen).not.toContain("could not be opened");
  expect(right.code).toBe(0);
  const none = await onTerminal(serve, [
    [prompt, "\r"],
    [served, "\x03"],
  ]);
  expect(none.screen).toContain("it needs its key file or passphrase");
  expect(none.code).toBe(0);
  const stopped = await onTerminal(serve, [[prompt, "\x03"]]);
  expect(stopped.screen).not.toContain("Sternway serves");
  expect(stopped.code).toBe(130);
  // Not at a terminal nobody is asked, and it serves at once.
  await using unattended = await DaemonProcess.start(data);
  expect(await unattended.client.vaultNamed("pay")).toMatchObject({ state: "locked" });
}, 180_000);

/**
 * The commands that the console shows, taken from the code that makes them and run by a shell as they are, against a real daemon: through its socket, over TCP, and over TLS with a
 * certificate that its own command put down. A disk counts as connected when a VM boots from it, or when its bytes come back.
 *
 * What this machine has to lend: `sudo` and `modprobe` do nothing of their own, `qm` takes its words apart as Proxmox does and starts QEMU, and where a kernel's block device
 * would be, qemu-nbd serves a socket and nbdfuse with a loop device stands in.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { certificateCommand, connectCommands, doorChoices } from "../../src/web/console/connect-commands.ts";
import { commandsOf, doorsOf, uriOf } from "../../src/web/console/restore/nbd-commands.ts";
import { CERTIFICATE_DIR } from "../../src/web/console/shell-words.ts";
import {
  DaemonProcess,
  execute,
  removeScratch,
  scratchFolder,
  succeed,
  type CommandResult,
} from "../support/daemon-process.ts";
import { attachExport, MOUNT_TOOLS } from "../support/e2e-mounts.ts";
import { describeWith, testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 4 * MIB;
const TIMEOUT_MS = 120_000;
/** Of one command, in seconds: a VM without acceleration boots in two. */
const COMMAND_SECONDS = 60;
/** Where the VM writes, once it has booted. */
const MARK_AT = 8 * 512;
const SAID = "booted from sternway";

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
/** The disk as it is at first. */
const image = bootable();
let daemon: DaemonProcess;
let moment = "";

/** A disk whose boot sector writes itself to sector 8, says so on the serial port and resets the machine. */
function bootable(): Uint8Array {
  const disk = seededRandom(5).bytes(SIZE);
  const [message, packet] = [0x40, 0x80];
  const code = [
    // cld; ax, ds, es, ss = 0; sp = 0x7c00
    ...[0xfc, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c],
    // si = packet; int 13h, ah = 43h: write as it says
    ...[0xbe, packet, 0x7c, 0xb8, 0x00, 0x43, 0xcd, 0x13],
    // si = message; each byte until 0 to port 3f8h
    ...[0xbe, message, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x06, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf5],
    // The keyboard controller's reset; hlt
    ...[0xb0, 0xfe, 0xe6, 0x64, 0xf4],
  ];
  disk.fill(0, 0, 512);
  disk.set(code, 0);
  disk.set(new TextEncoder().encode(SAID), message);
  // One sector from 0:7c00 to sector 8.
  disk.set([0x10, 0, 1, 0, 0x00, 0x7c, 0, 0, MARK_AT / 512], packet);
  disk.set([0x55, 0xaa], 510);
  return disk;
}

const marked = (disk: Uint8Array): Uint8Array => {
  const copy = disk.slice();
  copy.set(disk.subarray(0, 512), MARK_AT);
  return copy;
};

beforeAll(async () => {
  // A folder whose name a shell, a URI and QEMU's lists would all take apart.
  daemon = await DaemonProcess.start(at("one's, data"), { config: { nbd: { listen: ["127.0.0.1:0"] } } });
  mkdirSync(at("bin"));
  const program = (name: string, text: string): void => {
    writeFileSync(at(`bin/${name}`), text);
    chmodSync(at(`bin/${name}`), 0o755);
  };
  program("sudo", '#!/bin/sh\nexec "$@"\n');
  program("modprobe", "#!/bin/sh\n");
  program(
    "qm",
    `#!/usr/bin/perl\nuse Text::ParseWords;\ndie unless "@ARGV[0..2]" eq "set 100 --args" and @ARGV == 4;\nexec "qemu-system-x86_64", shellwords($ARGV[3]), split / /, $ENV{VM};\n`,
  );
  writeFileSync(at("disk.img"), image);
}, TIMEOUT_MS);

afterAll(async () => {
  const { complaints } = daemon;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

/** What the VM needs besides what is shown: no window, its serial port in a file, and its end when it resets. */
const vm = (): string => `-display none -net none -no-reboot -serial file:${at("serial")}`;

/** Runs a command as a person's shell would, in the scratch folder. */
async function paste(text: string): Promise<CommandResult> {
  const path = `${at("bin")}:${process.env["PATH"]}:/usr/sbin:/sbin`;
  const words = ["env", `PATH=${path}`, `VM=${vm()}`, "timeout", "-k", "5", `${COMMAND_SECONDS}`];
  return await execute([...words, "bash", "-euo", "pipefail", "-c", text], { cwd: folder });
}

async function pasted(text: string): Promise<string> {
  const { code, out, err } = await paste(text);
  if (code !== 0) throw new Error(`ended with ${code}:\n${text}\n${err}${out}`);
  return out;
}

/** Starts a VM by a command and waits until it has booted and reset itself. */
async function booted(text: string): Promise<void> {
  writeFileSync(at("serial"), "");
  // A machine that is itself virtual may have KVM and take half a minute for the BIOS with it.
  await pasted(text.replace("accel=kvm:tcg", "accel=tcg"));
  expect(readFileSync(at("serial"), "utf8")).toContain(SAID);
}

async function liveBytes(volume: string): Promise<Uint8Array> {
  const disk = await connectNbd(daemon.blocks, volume);
  try {
    return await disk.read(0, SIZE);
  } finally {
    await disk.close();
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const textOf = (commands: readonly { title?: string; id?: string; text: string }[], which: string): string => {
  const found = commands.find(({ title, id }) => title === which || id === which);
  if (!found) throw new Error(`the console has no command "${which}" any more`);
  return found.text;
};

/** Each kind of door: which of those that the appliance tells, and what has to be put down before. */
const DOORS = ["the socket", "plain TCP", "TLS with a certificate"] as const;

describe.each(DOORS)("through %s", (kind) => {
  const index = kind === "the socket" ? 0 : 1;
  const volume = `disk${DOORS.indexOf(kind)}`;
  /** Where the test puts what belongs in the system's own folder, and a way there by a name that has to be quoted. */
  const system = at("certificates");
  const certificates = at("its, folder");

  beforeAll(async () => {
    const { client } = daemon;
    if (kind !== "TLS with a certificate") {
      await client.createVolume(volume, SIZE);
      return;
    }
    await daemon.stop();
    daemon = await DaemonProcess.start(at("one's, data"), {
      config: { nbd: { listen: ["127.0.0.1:0"], credentials: "always" } },
    });
    await daemon.client.createVolume(volume, SIZE);
    await daemon.client.createMachine({ name: "web", volumes: [volume] });
    const made = await daemon.client.createCredential("web", { name: "host", readOnly: false });
    await pasted(certificateCommand(made).replaceAll(CERTIFICATE_DIR, system));
    symlinkSync(system, certificates);
    expect(statSync(join(system, "client-key.pem")).mode & 0o777).toBe(0o600);
  }, TIMEOUT_MS);

  const door = async () => doorChoices(await daemon.client.doors(), "localhost")[index]!;
  /** The door as the wizard has it, whose socket is the last one. */
  const mountDoor = async () => doorsOf(await daemon.client.doors(), "localhost").at(index === 0 ? -1 : 0)!;
  /** What the page shows, with the folder that the test has instead of the system's. */
  const shown = async (client: "qemu" | "proxmox" | "linux", title: string): Promise<string> =>
    textOf(connectCommands(client, volume, await door()), title).replaceAll(CERTIFICATE_DIR, system);
  const mount = async (id: string, past: boolean): Promise<string> =>
    textOf(commandsOf(await mountDoor(), volume, past ? moment : undefined, certificates), id);

  testWith(
    ["qemu-img", "qemu-system-x86_64"],
    "a disk is brought in, and a VM boots from it and writes to it",
    async () => {
      await succeed(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", at("disk.img"), at("disk.qcow2")]);
      await pasted(await shown("qemu", "Or bring an existing disk in first"));
      expect(isSame(await liveBytes(volume), image)).toBe(true);
      moment = `lsn:${(await daemon.client.resolve(volume, "now")).lsn}`;
      const text = await shown("qemu", "Start a VM on it");
      expect(text).toContain("…");
      await booted(text.replace("…", vm()));
      expect(isSame(await liveBytes(volume), marked(image))).toBe(true);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-system-x86_64", "perl"],
    "Proxmox starts a VM on it",
    async () => {
      await booted(await shown("proxmox", "Give it to a VM"));
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-system-x86_64"],
    "a VM boots from the past, and what it writes is thrown away",
    async () => {
      const before = await liveBytes(volume);
      await booted(`${await mount("qemu-system", true)} ${vm()}`);
      expect(isSame(await liveBytes(volume), before)).toBe(true);
      await booted(`${await mount("qemu-system", false)} ${vm()}`);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-nbd", "nbdcopy"],
    "qemu-nbd serves the past",
    async () => {
      const [socket, out] = [at("past.sock"), at("past.img")];
      const [attach] = (await mount("qemu-nbd", true)).split("\nlsblk");
      // It ends by itself when the one client has gone.
      await pasted(attach!.replace("--connect=/dev/nbd0", `--fork --socket=${socket}`));
      await succeed(["nbdcopy", `nbd+unix:///?socket=${socket}`, out]);
      expect(isSame(readFileSync(out), image)).toBe(true);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbdfuse", "fusermount3", "qemu-nbd", "root"],
    "nbdfuse shows the past and the present as a file",
    async () => {
      for (const [past, bytes] of [
        [true, image],
        [false, marked(image)],
      ] as const) {
        const out = at("fuse.img");
        await pasted(`${await mount("nbdfuse", past)}\ncat disk/nbd > ${out}\nfusermount3 -u disk\nwait`);
        expect(isSame(readFileSync(out), bytes)).toBe(true);
      }
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbd-client"],
    "nbd-client agrees with the appliance on the disk; the rest is its kernel's",
    async () => {
      // A machine whose kernel has such a device may be using it.
      if (existsSync("/sys/block/nbd0")) return;
      const live = await shown("linux", "Connect it as a block device");
      for (const text of [live, (await mount("nbd-client", true)).split("\nlsblk")[0]!]) {
        const { out, err } = await paste(text);
        expect({ text, said: out + err }).toEqual({ text, said: expect.stringContaining(`size = ${SIZE / MIB}MB`) });
      }
    },
    TIMEOUT_MS,
  );
});

describeWith([...MOUNT_TOOLS, "mkfs.ext4", "lsblk"], "with a file system", () => {
  test(
    "it is made and mounted as the page for a Linux host says, and the past of it as the wizard says",
    async () => {
      const volume = "files";
      await daemon.client.createVolume(volume, 32 * MIB);
      const [door] = doorChoices(await daemon.client.doors(), "localhost");
      const mountDoor = doorsOf(await daemon.client.doors(), "localhost").at(-1)!;
      const here = (text: string, device: string): string =>
        text.replaceAll(/\/dev\/nbd0(p1)?/g, device).replaceAll("/mnt", at("mnt"));
      {
        await using attached = await attachExport(uriOf(mountDoor, volume), folder);
        await pasted(
          here(textOf(connectCommands("linux", volume, door!), "Make a file system on it"), attached.device),
        );
        writeFileSync(at(`mnt/${volume}/letter`), "as it was");
        await succeed(["umount", at(`mnt/${volume}`)]);
      }
      const past = `lsn:${(await daemon.client.resolve(volume, "now")).lsn}`;
      const [, lines] = textOf(commandsOf(mountDoor, volume, past), "nbd-client").split("-readonly\n");
      await using attached = await attachExport(uriOf(mountDoor, `${volume}@${past}`), folder, { readOnly: true });
      await pasted(here(lines!, attached.device));
      expect(readFileSync(at("mnt/letter"), "utf8")).toBe("as it was");
      await succeed(["umount", at("mnt")]);
    },
    TIMEOUT_MS,
  );
});

/** The block door for users of the appliance's own system: what the kernel says of them is all that they show. With libnbd's clients and qemu, as other users. */
import { afterAll, beforeAll, expect } from "bun:test";
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { until } from "../support/nbd-harness.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, sternway, succeed } from "../support/daemon-process.ts";
import { describeWith, testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 120_000;
/** Neither has an entry anywhere. */
const OWNER = 31_337;
const STRANGER = 31_338;

interface Entry {
  who: string;
  result: string;
  subject: string;
  detail?: Record<string, unknown>;
}

describeWith(["root", "setpriv", "nbdinfo", "nbdcopy", "cmp"], "users of the appliance's own system", () => {
  const folder = scratchFolder();
  const at = (name: string): string => join(folder, name);
  const socket = at("run/nbd.sock");
  let daemon: DaemonProcess;
  let credential = { id: 0, user: { name: "", uid: 0 }, socketPath: "" };

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    mkdirSync(at("own"));
    chownSync(at("own"), OWNER, OWNER);
    daemon = await DaemonProcess.start(at("data"), { config: { nbd: { localSocket: socket } } });
    for (const name of ["shop-data", "mail"]) await daemon.command("volume", "create", name, "16M");
    await daemon.command("machine", "add", "shop", "shop-data");
    credential = await daemon.command("credential", "add", "shop", "--user", String(OWNER), "--write");
  }, TIMEOUT_MS);

  afterAll(async () => {
    const complaints = daemon.complaints;
    await daemon.stop();
    removeScratch(folder);
    expect(complaints).toEqual([]);
  }, TIMEOUT_MS);

  const uri = (disk: string): string => `nbd+unix:///${disk}?socket=${socket}`;
  const as = (uid: number, ...words: string[]): string[] => [
    ...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"],
    ...words,
  ];
  const listed = async (prefix: (...words: string[]) => string[]): Promise<string[]> => {
    const { exports } = JSON.parse(await succeed(prefix("nbdinfo", "--list", "--json", uri("")))) as {
      exports?: { "export-name": string }[];
    };
    return (exports ?? []).map((each) => each["export-name"]).sort();
  };
  const attachments = async (): Promise<Entry[]> =>
    (await daemon.command<{ entries: Entry[] }>("audit", "list", "--action", "nbd-attach")).entries;
  const refuses = async (command: string[]): Promise<void> => expect((await execute(command)).code).not.toBe(0);

  testWith(
    [],
    "a user with a credential writes and reads the disks of its machine, and sees no other's",
    async () => {
      expect(credential).toMatchObject({ user: { name: String(OWNER), uid: OWNER }, socketPath: socket });
      expect(statSync(socket).mode & 0o777).toBe(0o666);
      expect(statSync(at("run")).mode & 0o777).toBe(0o755);
      writeFileSync(at("in.img"), seededRandom(7).bytes(16 * MIB));
      await succeed(as(OWNER, "nbdcopy", "--flush", at("in.img"), uri("shop-data")));
      await succeed(as(OWNER, "nbdcopy", uri("shop-data@now"), at("own/out.img")));
      await succeed(["cmp", at("in.img"), at("own/out.img")]);
      expect(await listed((...words) => as(OWNER, ...words))).toEqual(["shop-data"]);
      await refuses(as(OWNER, "nbdinfo", uri("mail")));
      const entries = await attachments();
      expect(entries).toContainEqual(
        expect.objectContaining({
          who: String(OWNER),
          result: "done",
          subject: "shop-data",
          detail: expect.objectContaining({ uid: OWNER, pid: expect.any(Number) }),
        }),
      );
      const refusal = { who: String(OWNER), result: "refused", subject: "mail" };
      const detail = expect.objectContaining({ reason: "mail is not a disk of shop", uid: OWNER });
      expect(entries).toContainEqual(expect.objectContaining({ ...refusal, detail }));
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-img"],
    "qemu as that user reads the disk",
    async () => {
      const source = `driver=nbd,server.type=unix,server.path=${socket},export=shop-data`;
      const words = ["qemu-img", "convert", "--image-opts", source, "-O", "raw", at("own/qemu.img")];
      await succeed(as(OWNER, ...words));
      expect(statSync(at("own/qemu.img")).size).toBe(16 * MIB);
    },
    TIMEOUT_MS,
  );

  testWith(
    [],
    "anybody else gets an empty list and refused disks, and root gets all of them",
    async () => {
      expect(await listed((...words) => as(STRANGER, ...words))).toEqual([]);
      for (const disk of ["shop-data", "shop-data@now", "mail", "nothing"]) {
        await refuses(as(STRANGER, "nbdinfo", uri(disk)));
      }
      // The socket in the data folder is not for them at all.
      expect((await execute(as(OWNER, "nbdinfo", daemon.uri("shop-data")))).err).toContain("Permission denied");
      expect(await listed((...words) => words)).toEqual(["mail", "shop-data"]);
      await succeed(["nbdinfo", uri("mail")]);
      await succeed(["nbdinfo", daemon.uri("mail")]);
      const entries = await attachments();
      const stranger = entries.filter(({ who }) => who === `uid ${STRANGER}`);
      expect(stranger.length).toBeGreaterThanOrEqual(4);
      expect(stranger.every(({ result, detail }) => result === "refused" && detail?.["uid"] === STRANGER)).toBe(true);
      const root = entries.filter(({ who, subject }) => who === "root" && subject === "mail");
      expect(root).toMatchObject([{ detail: { uid: 0 } }, { detail: { uid: 0 } }]);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-io"],
    "taking the credential back ends the connection of a user and opens nothing more; one for reading opens the past alone",
    async () => {
      const made = await daemon.command<{ id: number }>("credential", "add", "shop", "--user", String(STRANGER));
      await succeed(as(STRANGER, "nbdinfo", uri("shop-data@now")));
      await refuses(as(STRANGER, "nbdinfo", uri("shop-data")));
      const image = `driver=nbd,server.type=unix,server.path=${socket},export=shop-data@now`;
      const words = as(STRANGER, "qemu-io", "-r", "--image-opts", image, "-c", "read 0 512", "-c", "sleep 100000");
      const reader = Bun.spawn(words, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      const ended = (): boolean => daemon.log.some(({ reason }) => reason === "its credential was taken back");
      const opened = (): boolean =>
        daemon.log.some(
          ({ uid, pid, msg }) => uid === STRANGER && pid === reader.pid && /was opened/.test(String(msg)),
        );
      await until(opened, "an open connection", 20_000);
      await daemon.command("credential", "remove", "shop", String(made.id));
      await until(ended, "the end of the connection", 20_000);
      reader.kill("SIGKILL");
      await reader.exited;
      await refuses(as(STRANGER, "nbdinfo", uri("shop-data@now")));
    },
    TIMEOUT_MS,
  );

  testWith(
    [],
    "the command line tells users by name, and refuses what makes no sense",
    async () => {
      const add = (...words: string[]) => sternway(at("data"), "credential", "add", "shop", ...words);
      const made = await add("--user", "daemon");
      expect(made.out).toContain("user daemon (uid ");
      expect(made.out).toContain(`nbd+unix:///DISK@MOMENT?socket=${socket}`);
      const list = await sternway(at("data"), "credential", "list", "shop");
      expect(list.out).toMatch(/daemon +user daemon \(uid \d+\) +read the past/);
      expect(list.out).toMatch(/uid 31337 +read and write/);
      expect((await add("--user", "root")).err).toContain("needs no credential");
      expect((await add("--user", "no-such-user-here")).err).toContain("has no user no-such-user-here");
      expect((await add("--user", "daemon", "--out", at("x"))).err).toContain("leave --out away");
      expect((await add("--name", "x")).err).toContain("needs --name and --out");
    },
    TIMEOUT_MS,
  );
});

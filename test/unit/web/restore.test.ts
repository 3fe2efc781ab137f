import { describe, expect, test } from "bun:test";
import type { WireVolume } from "../../../src/contract/contract.ts";
import {
  branchConsequences,
  downloadConsequences,
  machineBranchConsequences,
  machineRollbackConsequences,
  mountConsequences,
  rollbackConsequences,
} from "../../../src/web/console/restore/consequences.ts";
import { commandsOf, doorsOf, uriOf } from "../../../src/web/console/restore/nbd-commands.ts";
import { DAY, HOUR, microsOf } from "../../../src/web/console/timeline/time.ts";

const NOW = microsOf("2026-11-21T09:00:00Z");
const MOMENT = { time: NOW - 3 * HOUR, zone: "Europe/Berlin", flushPoint: true };
const VOLUME = { name: "web1", attached: 0, sizeBytes: 10 * 2 ** 30 } as WireVolume;
const facts = { volume: VOLUME, moment: MOMENT, now: NOW, bookmark: undefined, keptFor: undefined };

const text = (list: { about: string; text: string }[], about: string): string =>
  list.find((each) => each.about === about)?.text ?? "";

describe("consequences in words", () => {
  test("a rollback says what disappears, what stays and how to undo it", () => {
    const change = { bytes: 8192, ranges: 1, isMore: false };
    const said = rollbackConsequences({ ...facts, change, bookmark: "before-it", keptFor: 7 * DAY });
    expect(text(said, "What happens")).toContain("reads again as it did on Sat 21 Nov 2026, 07:00:00 (CET, UTC+1)");
    expect(text(said, "What is overwritten")).toBe(
      "2 blocks in 1 place (8 KiB) of 10 GiB differ from then. What was written in the last 3 hours disappears from the live disk.",
    );
    expect(text(said, "What stays")).toBe(
      "All of it stays in the history, every write of it for 7 days as the policy says. Rolling back again to the moment before undoes this; the bookmark before-it marks it.",
    );
    expect(said.filter((each) => each.isWarning === true).map((each) => each.about)).toEqual(["What is overwritten"]);
  });

  test("it warns of whoever is attached, and says when nothing would change", () => {
    const none = rollbackConsequences({ ...facts, change: { bytes: 0, ranges: 0, isMore: false } });
    expect(text(none, "What is overwritten")).toContain("Nothing");
    expect(none.some((each) => each.isWarning)).toBe(false);
    const used = rollbackConsequences({ ...facts, volume: { ...VOLUME, attached: 2 }, change: undefined });
    expect(text(used, "Who uses it")).toStartWith("2 clients are attached");
    expect(text(used, "What is overwritten")).toStartWith("Everything written in the last 3 hours");
    const machine = machineRollbackConsequences(
      "db",
      [
        { name: "a", attached: 1 },
        { name: "b", attached: 0 },
      ],
      MOMENT,
      NOW,
    );
    expect(text(machine, "What happens")).toStartWith("2 disks of db (a, b)");
    expect(text(machine, "Who uses it")).toStartWith("1 client is attached");
  });

  test("new disks of a machine are told of as several, and one as one", () => {
    const two = text(machineBranchConsequences("shop", MOMENT, ["a-x", "b-x"]), "What happens");
    expect(two).toStartWith("2 new disks appear (a-x, b-x), as the disks of shop were on Sat 21 Nov 2026");
    expect(two).toEndWith("They can be read and written.");
    const one = text(machineBranchConsequences("shop", MOMENT, ["a-x"]), "What happens");
    expect(one).toStartWith("A new disk appears (a-x), as the disk of shop was on");
  });

  test("no text has marks of a markup that nothing draws", () => {
    const all = [
      ...rollbackConsequences({ ...facts, change: undefined }),
      ...branchConsequences(VOLUME, MOMENT, "copy"),
      ...machineBranchConsequences("shop", MOMENT, ["a-x", "b-x"]),
      ...mountConsequences(VOLUME, MOMENT),
      ...downloadConsequences(VOLUME, MOMENT),
    ];
    expect(all.filter((each) => each.text.includes("`"))).toEqual([]);
  });

  test("what changes nothing says so, and whether file systems have to replay", () => {
    for (const said of [
      branchConsequences(VOLUME, MOMENT, "copy"),
      mountConsequences(VOLUME, MOMENT),
      downloadConsequences(VOLUME, MOMENT),
    ]) {
      expect(text(said, "What is overwritten")).toStartWith("Nothing");
      expect(text(said, "How clean it is")).toContain("It is a flush point");
    }
    const between = mountConsequences(VOLUME, { ...MOMENT, flushPoint: false });
    expect(text(between, "How clean it is")).toContain("as if the power had been cut");
    expect(downloadConsequences({ ...VOLUME, sizeBytes: 2 ** 40 }, MOMENT).some((each) => each.isWarning)).toBe(true);
  });
});

describe("commands", () => {
  const doors = doorsOf(
    {
      socketPath: "/srv/stern way/nbd.sock",
      nbd: [
        { host: "0.0.0.0", port: 10_809, tls: true, credentials: true },
        { host: "127.0.0.1", port: 10_810, tls: false, credentials: false },
      ],
    },
    "fe80::1",
  );
  const [secure, plain, own] = doors as [(typeof doors)[0], (typeof doors)[0], (typeof doors)[0]];
  const command = (door: (typeof doors)[0], id: string, at?: string): string =>
    commandsOf(door, "web1", at).find((each) => each.id === id)!.text;

  test("URIs name the door, and what listens everywhere goes by the page's own host", () => {
    expect(uriOf(secure, "web1@lsn:7")).toBe("nbds://[fe80::1]:10809/web1@lsn:7");
    expect(command(secure, "nbdfuse", "lsn:7")).toContain("dir=/etc/sternway-client,endpoint=client");
    expect(uriOf(plain, "web1@lsn:7")).toBe("nbd://127.0.0.1:10810/web1@lsn:7");
    expect(uriOf(own, "web1")).toBe("nbd+unix:///web1?socket=/srv/stern%20way/nbd.sock");
  });

  test("the past is attached read-only and the live disk is not", () => {
    expect(command(plain, "nbd-client", "lsn:7")).toContain(
      "sudo nbd-client 127.0.0.1 10810 /dev/nbd0 -N web1@lsn:7 -readonly\n",
    );
    expect(command(plain, "nbd-client")).toEndWith("sudo nbd-client 127.0.0.1 10810 /dev/nbd0 -N web1");
    expect(command(plain, "qemu-nbd", "lsn:7")).toContain("--read-only");
    expect(command(plain, "qemu-nbd")).not.toContain("--read-only");
    expect(command(plain, "nbdfuse", "lsn:7")).toContain("nbdfuse --readonly disk nbd://127.0.0.1:10810/web1@lsn:7 &");
    expect(command(plain, "qemu-system", "lsn:7")).toContain("snapshot=on");
    expect(command(plain, "qemu-system")).not.toContain("snapshot=on");
  });

  test("credentials come with TLS, and what a shell would take apart is quoted", () => {
    expect(command(secure, "qemu-nbd", "lsn:7")).toContain(
      "--object tls-creds-x509,id=tls0,dir=/etc/sternway-client,endpoint=client --image-opts driver=nbd,server.type=inet",
    );
    expect(command(secure, "nbd-client", "lsn:7")).toContain("-certfile /etc/sternway-client/client-cert.pem");
    expect(command(secure, "qemu-system", "lsn:7")).toContain("file.tls-creds=tls0");
    expect(command(own, "nbd-client", "lsn:7")).toContain("-unix '/srv/stern way/nbd.sock'");
    expect(command(own, "qemu-nbd")).toContain("--image-opts 'driver=nbd,server.type=unix,server.path=/srv/stern way/");
    expect(command(own, "nbdfuse", "bookmark:x")).toContain(
      "'nbd+unix:///web1@bookmark:x?socket=/srv/stern%20way/nbd.sock'",
    );
  });
});

import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import type { AddTier, OpenVault } from "../../../src/contract/contract.ts";
import { fakeTiers, TIER } from "../../support/fake-tiers.ts";
import { openCliFixture } from "./cli-fixture.ts";

test("sternway tier adds with a name of its own choice, lists, syncs, verifies and removes", async () => {
  const asked: AddTier[] = [];
  const tiers = {
    ...fakeTiers,
    list: () => [
      { ...TIER, name: "s3", state: "offline" as const, reason: "no route", lagSeconds: 12.34, lagBytes: 2 ** 30 },
    ],
    add: async (vault: string, tier: AddTier) => {
      asked.push(tier);
      return await fakeTiers.add(vault, tier);
    },
  };
  await using fixture = await openCliFixture({ tiers });
  const url = "s3://b/p?endpoint=https://s3.example.org";
  const options = [
    "--mode",
    "scheduled",
    "--schedule",
    "daily",
    "--bandwidth",
    "5MiB/s",
    "--backlog",
    "10G",
    "--rpo",
    "60",
  ];
  const added = await fixture.run("tier", "add", "default", url, ...options, "--secret-file", "/etc/keys");
  expect(added.code).toBe(0);
  expect(asked).toEqual([
    {
      name: "s3-2",
      url,
      mode: "scheduled",
      schedule: "daily",
      bandwidth: "5MiB/s",
      backlogBytesMax: 10 * 2 ** 30,
      rpoSeconds: 60,
      secretFile: "/etc/keys",
    },
  ]);
  expect((await fixture.run("tier", "list")).out).toMatch(/^s3 +continuous +offline +12\.3 s +1 GiB .*no route$/m);
  expect((await fixture.run("tier", "sync", "default")).out).toBe("every tier has everything up to LSN 7\n");
  expect((await fixture.run("tier", "sync", "default", "s3")).out).toBe("tier s3 has everything up to LSN 7\n");
  const verified = await fixture.run("tier", "verify", "default", "s3", "--repair");
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.out).toContain("it is missing; put anew");
  expect((await fixture.run("tier", "remove", "default", "s3")).out).toContain("stays");
});

test("sternway tier ends with the exit code of what it met", async () => {
  const tiers = {
    ...fakeTiers,
    // eslint-disable-next-line require-yield
    async *sync(): ReturnType<typeof fakeTiers.sync> {
      throw new SternwayError("fenced", "another installation writes there");
    },
    async *verify(): ReturnType<typeof fakeTiers.verify> {
      yield { line: "finding" as const, object: "layers/1", message: "it is missing", repaired: false };
      yield { line: "end" as const, objects: 1, bytes: 1, findings: 1, repaired: 0 };
    },
  };
  await using fixture = await openCliFixture({ tiers });
  const fenced = await fixture.run("tier", "sync", "default");
  expect(fenced).toMatchObject({ code: 8 });
  expect(fenced.err).not.toContain("Stop this appliance");
  const left = await fixture.run("tier", "verify", "default", "s3");
  expect(left).toMatchObject({ code: 6 });
  expect(left.err).toContain("--repair puts anew");
  expect((await fixture.run("tier", "verify", "default", "s3", "--repair")).err).not.toContain("--repair puts");
  expect(await fixture.run("tier", "add", "default", "file:///x", "--mode", "often")).toMatchObject({ code: 2 });
  expect(await fixture.run("tier", "add", "default", "file:///x", "--rpo", "0")).toMatchObject({ code: 2 });
});

test("sternway vault open, take-over and refresh pass on what they were given", async () => {
  const asked: unknown[] = [];
  const tiers = {
    ...fakeTiers,
    open: async (request: OpenVault) => {
      asked.push(request);
      return await fakeTiers.open(request);
    },
  };
  await using fixture = await openCliFixture({ tiers });
  const opened = await fixture.run(
    "vault",
    "open",
    "file:///mnt/usb",
    "--name",
    "web",
    "--key-file",
    "/k",
    "--take-over",
  );
  expect(opened.out).toBe("vault web is open and read-only: 0 volumes\n");
  expect(asked).toEqual([
    { name: "web", tier: "origin", url: "file:///mnt/usb", takeOver: true, key: { keyFile: "/k" } },
  ]);
  expect((await fixture.run("vault", "take-over", "web")).out).toContain("vault web is writable");
  expect((await fixture.run("vault", "refresh", "web")).out).toContain("vault web holds history");
});

test("sternway vault open --follow takes a time or off, and nothing else", async () => {
  const asked: (number | undefined)[] = [];
  const tiers = {
    ...fakeTiers,
    open: async (request: OpenVault) => {
      asked.push(request.followSeconds);
      return await fakeTiers.open(request);
    },
  };
  await using fixture = await openCliFixture({ tiers });
  const open = (...words: string[]) => fixture.run("vault", "open", "file:///mnt/usb", ...words);
  for (const words of [[], ["--follow", "5m"], ["--follow", "off"]])
    expect(await open(...words)).toMatchObject({ code: 0 });
  expect(asked).toEqual([undefined, 300, 0]);
  for (const words of ["often", "0s", "500ms", "-1"]) expect(await open("--follow", words)).toMatchObject({ code: 2 });
});

import { expect, test } from "bun:test";
import { openCliFixture, type CliFixture } from "./cli-fixture.ts";

const HOUR = 3600e6;

async function withHistory({ volumes }: CliFixture): Promise<void> {
  await volumes.create("web1", 2 ** 20);
  const device = await volumes.openLive("web1");
  for (let i = 0; i < 48; i++) {
    await device.write(0, new Uint8Array(4096).fill(i), false);
    volumes.advance(HOUR);
  }
  await device.close();
}

test("sternway retention set shows what would go, and sets it with --yes only", async () => {
  await using fixture = await openCliFixture();
  await withHistory(fixture);
  const words = ["retention", "set", "web1", "--all", "24h", "--hourly", "36h"];
  const refused = await fixture.run(...words);
  expect(refused.code).not.toBe(0);
  expect(refused.out).toMatch(/^goes +23 writes \(92 KiB\), of which 11 points would stay, and 0 older points$/m);
  expect(refused.err).toContain("Add --yes");
  expect((await fixture.run("retention", "show", "web1")).out).toContain("none: everything is kept");
  const done = await fixture.run(...words, "--yes");
  expect(done).toMatchObject({ code: 0, err: "" });
  expect(done.out).toContain("volume web1 keeps every write for 24h, hourly points for 36h");
  expect((await fixture.run("retention", "show", "web1")).out).toMatch(
    /^policy +every write for 24h, hourly points for 36h$/m,
  );
  expect((await fixture.run("retention", "plan", "web1")).out).toMatch(/^frees +92 KiB of what is stored$/m);
  expect((await fixture.run("retention", "clear", "web1")).out).toContain("has no policy");
});

test("sternway retention set needs no --yes when nothing would go yet", async () => {
  await using fixture = await openCliFixture();
  await withHistory(fixture);
  expect((await fixture.run("retention", "set", "web1", "--all", "1w", "--monthly", "24m")).out).toContain(
    "every write for 7d, monthly points for 24mo",
  );
});

test.each([
  [["--hourly", "14d"], "--all"],
  [["--all", "2x"], "not a length"],
  [["--all", "48h", "--daily", "24m"], "24mo"],
])("sternway retention set refuses %p", async (words, hint) => {
  await using fixture = await openCliFixture();
  await withHistory(fixture);
  const refused = await fixture.run("retention", "set", "web1", ...words);
  expect(refused.code).toBe(2);
  expect(refused.err).toContain(hint);
});

test("sternway retention lock says what it means before it locks", async () => {
  await using fixture = await openCliFixture();
  await withHistory(fixture);
  const refused = await fixture.run("retention", "lock", "web1", "--days", "30");
  expect(refused.code).toBe(2);
  expect(refused.err).toContain("longer and never shorter");
  expect((await fixture.run("retention", "lock", "web1", "--days", "30", "--yes")).code).toBe(0);
  expect((await fixture.run("retention", "show", "web1")).out).toMatch(
    /^lock +nothing younger than 30 d can go, by anybody$/m,
  );
});

test("sternway hold keeps a moment under a name, with or without the word create, until it is released", async () => {
  await using fixture = await openCliFixture();
  await withHistory(fixture);
  expect((await fixture.run("hold", "web1@lsn:7", "--name", "case")).out).toContain("hold case keeps lsn 7");
  expect((await fixture.run("hold", "create", "web1@-3h")).out).toMatch(/^hold hold-\d{17} keeps/);
  expect((await fixture.run("hold", "list", "web1")).out).toMatch(/^case +7 /m);
  expect((await fixture.run("hold", "release", "web1", "case")).out).toBe("released hold case\n");
  expect((await fixture.run("hold", "release", "web1", "case")).code).not.toBe(0);
});

test("sternway gc run tells what each vault gave back", async () => {
  await using fixture = await openCliFixture();
  expect((await fixture.run("gc", "run")).out).toBe(
    "vault default: 4 KiB given back; 1 pack deleted, 2 written anew (512 B), 0 B dead but too little of their packs\n" +
      "done: 4 KiB given back\n",
  );
});

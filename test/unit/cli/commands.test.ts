import { describe, expect, test } from "bun:test";
import { openCliFixture, runCli, type CliFixture } from "./cli-fixture.ts";

const MIB = 2 ** 20;

async function writeBlock(fixture: CliFixture, volume: string, value: number, offset = 0): Promise<void> {
  const device = await fixture.volumes.openLive(volume);
  await device.write(offset, new Uint8Array(4096).fill(value), false);
  await device.flush();
  await device.close();
}

describe("sternway volume", () => {
  test("creates, lists, shows, resizes and deletes", async () => {
    await using fixture = await openCliFixture();
    expect(await fixture.run("volume", "list")).toMatchObject({
      code: 0,
      out: expect.stringContaining("no volumes yet"),
    });
    expect((await fixture.run("volume", "create", "web1", "1.5G")).out).toContain("1.50 GiB");
    expect(await fixture.run("volume", "create", "web1", "1G")).toMatchObject({ code: 4, out: "" });
    expect((await fixture.run("volume", "list")).out).toMatch(/^web1 +1\.50 GiB/m);
    expect((await fixture.run("volume", "show", "web1")).out).toContain(`${1.5 * 2 ** 30} bytes`);
    expect((await fixture.run("volume", "resize", "web1", "2G")).out).toContain("2 GiB");
    const listed = JSON.parse((await fixture.run("volume", "list", "--json")).out);
    expect(listed.volumes).toMatchObject([{ name: "web1", sizeBytes: 2 ** 31 }]);
    expect((await fixture.run("volume", "delete", "web1")).code).toBe(0);
    expect((await fixture.run("volume", "show", "web1")).code).toBe(3);
  });

  test("delete has a person at a terminal type the name, and asks no program", async () => {
    await using fixture = await openCliFixture();
    const asked: string[] = [];
    const remove = (typed: string, ...more: string[]) =>
      runCli(["volume", "delete", "web1", ...more], {
        env: { STERNWAY_DATA: fixture.dataDir },
        ask: (prompt) => (asked.push(prompt), typed),
      });
    await fixture.run("volume", "create", "web1", "1G");
    expect(await remove("web2")).toMatchObject({ code: 2, err: expect.stringContaining("nothing was done") });
    expect(asked.join("")).toContain("web1, 1 GiB, goes with all its history");
    expect((await fixture.run("volume", "show", "web1")).code).toBe(0);
    expect((await remove("web1")).code).toBe(0);
    await fixture.run("volume", "create", "web1", "1G");
    expect((await remove("no", "--yes")).code).toBe(0);
    expect(asked.length).toBe(2);
    expect((await remove("web1")).code).toBe(3);
  });

  test("finds the daemon by --data before STERNWAY_DATA, wherever it stands on the line", async () => {
    await using fixture = await openCliFixture();
    for (const args of [
      ["--data", fixture.dataDir, "volume", "list"],
      ["volume", "list", "--data", fixture.dataDir],
    ]) {
      expect((await runCli(args, { env: { STERNWAY_DATA: "/nowhere" } })).code).toBe(0);
    }
  });
});

describe("sternway bookmark, rollback, branch, diff", () => {
  test("name a moment, go back to it, undo that, and branch from it", async () => {
    await using fixture = await openCliFixture();
    await fixture.volumes.create("web1", MIB);
    await writeBlock(fixture, "web1", 1);
    expect((await fixture.run("bookmark", "create", "web1", "good", "--note", "by hand")).out).toContain(
      "web1@bookmark:good",
    );
    await writeBlock(fixture, "web1", 2);
    expect((await fixture.run("bookmark", "list", "web1")).out).toMatch(/^good +\d+ +2026-.* by hand$/m);

    const diff = await fixture.run("diff", "web1", "--from", "bookmark:good");
    expect(diff.out).toMatch(/^ +0 +4096$/m);
    expect(diff.out).toContain("4 KiB in 1 range differ");
    expect((await fixture.run("diff", "web1", "--from", "bookmark:good", "--summary")).out.split("\n")).toHaveLength(2);

    const branch = await fixture.run("branch", "web1@bookmark:good", "trial");
    expect(branch.out).toMatch(/^branch of +web1@lsn:\d+$/m);

    const rollback = await fixture.run("rollback", "web1", "--to", "bookmark:good");
    expect(rollback.out).toContain("undo it with: sternway rollback web1 --to lsn:");
    const undo = /--to (lsn:\d+)/.exec(rollback.out)?.[1] ?? "";
    expect((await fixture.run("rollback", "web1", "--to", undo)).code).toBe(0);
    const device = await fixture.volumes.openAt("web1", { kind: "now" });
    expect((await device.read(0, 4096))[0]).toBe(2);
    await device.close();

    expect((await fixture.run("bookmark", "remove", "web1", "good")).code).toBe(0);
    expect((await fixture.run("rollback", "web1", "--to", "bookmark:good")).code).toBe(3);
  });

  test("take an age, which begins with a dash, as an option's value", async () => {
    await using fixture = await openCliFixture();
    await fixture.volumes.create("web1", MIB);
    fixture.volumes.advance(3600e6);
    await writeBlock(fixture, "web1", 1);
    expect((await fixture.run("rollback", "web1", "--to", "-30m")).code).toBe(0);
    const device = await fixture.volumes.openAt("web1", { kind: "now" });
    expect((await device.read(0, 4096))[0]).toBe(0);
    await device.close();
  });

  test("rollback refuses while a client is attached, unless forced", async () => {
    await using fixture = await openCliFixture();
    await fixture.volumes.create("web1", MIB);
    await writeBlock(fixture, "web1", 1);
    const device = await fixture.volumes.openLive("web1");
    expect((await fixture.run("rollback", "web1", "--to", "now")).code).toBe(4);
    expect((await fixture.run("rollback", "web1", "--to", "now", "--force")).code).toBe(0);
    await device.close();
  });

  test("branch refuses a moment left empty", async () => {
    await using fixture = await openCliFixture();
    expect(await fixture.run("branch", "web1@", "trial")).toMatchObject({ code: 2 });
  });
});

describe("sternway timeline", () => {
  test("draws intervals and marks within 80 columns", async () => {
    await using fixture = await openCliFixture();
    await fixture.volumes.create("web1", MIB);
    for (let i = 0; i < 12; i++) {
      fixture.volumes.advance(60e6);
      await writeBlock(fixture, "web1", i, i * 4096);
    }
    const { code, out } = await fixture.run("timeline", "web1", "--buckets", "12");
    expect(code).toBe(0);
    expect(Math.max(...out.split("\n").map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(80);
    expect(out).toContain("  created ");
    expect(out).toMatch(/\|[▁▂▃▄▅▆▇█ ]{12}\|/);
    expect(out).toMatch(/^2026-11-20 12:\d\d(:\d\d)? +1 +4 KiB/m);
  });

  test("lists flush points by page", async () => {
    await using fixture = await openCliFixture();
    await fixture.volumes.create("web1", MIB);
    for (let i = 0; i < 5; i++) await writeBlock(fixture, "web1", i);
    const { out } = await fixture.run("timeline", "web1", "--flush-points", "--limit", "2");
    const more = /--after (\d+)/.exec(out)?.[1] ?? "";
    expect(more).not.toBe("");
    const rest = await fixture.run("timeline", "web1", "--flush-points", "--after", more, "--json");
    expect(JSON.parse(rest.out).flushPoints).toHaveLength(3);
  });
});

describe("sternway check", () => {
  test("goes through the daemon, prints findings, and ends with 6 when there is damage", async () => {
    await using fixture = await openCliFixture({
      async *check() {
        yield {
          line: "finding",
          severity: "damage",
          subject: "pack 3",
          message: "frame 7 fails its checksum",
          facts: { pack: 3 },
        };
        yield { line: "end", findings: 1, objects: 9, bytes: 4096 };
      },
    });
    const { code, out, err } = await fixture.run("check");
    expect(code).toBe(6);
    expect(out).toContain("damage: pack 3: frame 7 fails its checksum");
    expect(err).toContain("1 damaged place");
    const json = await fixture.run("check", "--json");
    expect(
      json.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).line),
    ).toEqual(["finding", "end"]);
  });

  test("opens the vault itself when no daemon answers", async () => {
    const asked: unknown[] = [];
    const { code, out } = await runCli(["check", "--quick", "--data", "/nowhere"], {
      services: {
        async *checkStopped(options) {
          asked.push([options.dataDir, options.request]);
          yield { line: "end", findings: 0, objects: 12, bytes: 1024 };
        },
      },
    });
    expect(code).toBe(0);
    expect(out).toContain("checked 12 objects, 1 KiB: no damage");
    expect(asked).toEqual([["/nowhere", { quick: true }]]);
  });
});

describe("sternway jobs", () => {
  test("shows one, cancels one, and says who asked", async () => {
    await using fixture = await openCliFixture({
      async *check(_request, signal) {
        yield { line: "progress", what: "packs", done: 1, total: 4 };
        await new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      },
    });
    const checking = fixture.run("check");
    let shown = await fixture.run("jobs", "show", "1");
    while (shown.code !== 0) shown = await fixture.run("jobs", "show", "1");
    expect(shown.out).toMatch(/^what +check$/m);
    expect(shown.out).toMatch(/^by +root$/m);
    expect(await fixture.run("jobs", "cancel", "1")).toMatchObject({
      code: 0,
      out: "job 1 (check of all vaults) stops\n",
    });
    const { code, err } = await checking;
    expect([code, err]).toEqual([4, expect.stringContaining("job 1 was cancelled: at the request of root")]);
    expect((await fixture.run("jobs")).out).toContain("cancelled: at the request of root");
    expect(JSON.parse((await fixture.run("jobs", "show", "1", "--json")).out)).toMatchObject({ state: "cancelled" });
    expect((await fixture.run("jobs", "cancel", "1")).code).toBe(4);
    expect((await fixture.run("jobs", "show", "2")).code).toBe(3);
    expect((await fixture.run("jobs", "show", "x")).err).toContain("whole number");
  });
});

describe("sternway status, disks, jobs", () => {
  test("print what the appliance tells", async () => {
    await using fixture = await openCliFixture();
    expect((await fixture.run("status")).out).toMatch(/^vault +0123456789abcdef, writable, epoch 3$/m);
    expect((await fixture.run("disks")).out).toContain("vault in /srv/sternway");
    expect((await fixture.run("jobs")).out).toBe("no jobs yet\n");
    expect(JSON.parse((await fixture.run("status", "--json")).out)).toMatchObject({ health: { status: "ok" } });
  });
});

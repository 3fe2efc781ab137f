/** `sternway machine`, `sternway schedule` and `sternway script` against the API on a socket. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { openCliFixture, type CliFixture } from "./cli-fixture.ts";

let cli: CliFixture;
beforeEach(async () => {
  cli = await openCliFixture();
  for (const name of ["sys", "data"]) await cli.volumes.create(name, 8192);
});
afterEach(() => cli[Symbol.asyncDispose]());

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await cli.run(...args);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${err}`);
  return out;
}

test("machines are made, bookmarked, rolled back and branched", async () => {
  expect(await ok("machine", "list")).toBe("no machines yet\n");
  expect(await ok("machine", "add", "web", "sys", "data", "--description", "the shop")).toContain(
    "volume       data, 8 KiB",
  );
  expect(await ok("machine", "bookmark", "web", "good")).toBe(
    "bookmark good names one moment of sys, data, crash-consistent\n",
  );
  expect(await ok("machine", "bookmarks", "web")).toContain("good");
  const back = await ok("machine", "rollback", "web", "--to", "bookmark:good", "--approximate");
  expect(back).toMatch(/undo it with: sternway machine rollback web --to bookmark:before-rollback-\d{8}T\d{6}Z\n$/);
  expect(await ok("machine", "branch", "web@now", "--suffix", "-t")).toBe("made sys-t, data-t\n");
  expect(await ok("machine", "unbookmark", "web", "good")).toBe("removed bookmark good\n");
  expect(await ok("machine", "change", "web", "--volume", "sys", "--pre", "freeze")).toContain(
    "freeze before, up to 60 s each",
  );
  expect(await ok("machine", "change", "web", "--no-scripts")).toContain("scripts      none");
  expect(JSON.parse(await ok("machine", "show", "web", "--json"))).toMatchObject({
    name: "web",
    volumes: [{ name: "sys" }],
  });
  expect(await ok("machine", "remove", "web")).toContain("forgot machine web");
});

test("a rollback that is done in part shows each volume and fails", async () => {
  await ok("machine", "add", "web", "sys", "data");
  await ok("machine", "bookmark", "web", "good");
  const { rollback } = cli.volumes;
  cli.volumes.rollback = async (name, ...rest) => {
    if (name === "data") throw new Error("no space");
    return await rollback(name, ...rest);
  };
  const { code, out, err } = await cli.run("machine", "rollback", "web", "--to", "bookmark:good", "--approximate");
  expect(code).not.toBe(0);
  expect(out).toMatch(/sys +rolled-back .*\n?data +failed: no space +as before/);
  expect(err).toContain("its volumes are at different moments");
});

test("schedules are made, shown, run, paused and removed", async () => {
  const made = await ok(
    "schedule",
    "add",
    "hourly",
    "bookmark",
    "--volume",
    "sys",
    "--every",
    "1h",
    "--keep",
    "3",
    "--jitter",
    "5m",
  );
  expect(made).toContain("does         bookmark sys");
  expect(made).toContain("when         every 1 h");
  expect(made).toContain("jitter       up to 5 min");
  await ok(
    "schedule",
    "add",
    "proof",
    "check",
    "--at",
    "weekly",
    "--zone",
    "Europe/Berlin",
    "--missed",
    "skip",
    "--paused",
  );
  expect(await ok("schedule", "list")).toMatch(/proof +check +weekly Europe\/Berlin +paused/);
  const report = ["report", "--report", "growth", "--span", "month", "--channel", "ops", "--at", "monthly"];
  expect((await cli.run("schedule", "add", "proof-of-growth", ...report)).err).toContain("there is no channel ops");
  await ok("notify", "channel", "webhook", "ops", "--url", "https://hooks.example.org/");
  expect(await ok("schedule", "add", "proof-of-growth", ...report)).toContain(
    "does         report growth of the last month through ops",
  );
  expect(await ok("schedule", "run", "hourly")).toContain("runs as job 1");
  expect(await ok("schedule", "pause", "hourly")).toBe("paused schedule hourly\n");
  expect(await ok("schedule", "resume", "hourly")).toStartWith("resumed schedule hourly; it is due next at ");
  expect(await ok("schedule", "change", "hourly", "--at", "0 3 * * *")).toContain("when         0 3 * * * UTC");
  // In another zone than UTC each time is followed by what clocks show there.
  expect(await ok("schedule", "preview", "--every", "6h")).toMatch(/^(\S+Z(?: \(.+\))?\n){10}$/);
  expect(await ok("schedule", "remove", "hourly")).toBe("removed schedule hourly\n");
  expect(await ok("script", "list")).toStartWith("no scripts in ");
});

test("what is no task and no time is refused before anything is asked", async () => {
  const cases: [string[], RegExp][] = [
    [["schedule", "add", "x", "bookmark", "--every", "1h"], /must name a machine or a volume/],
    [["schedule", "add", "x", "gc", "--tier", "t", "--every", "1h"], /no task/],
    [["schedule", "add", "x", "report", "--report", "growth", "--channel", "ops", "--at", "daily"], /span/],
    [["schedule", "add", "x", "gc"], /--at .* or --every/],
    [["schedule", "add", "x", "gc", "--at", "daily", "--every", "1h"], /--at .* or --every/],
    [["schedule", "add", "x", "gc", "--every", "5s"], /at least 60 s/],
    [["machine", "add", "x", "sys", "--if-pre-fails", "crash-consistent"], /which scripts/],
    [["machine", "add", "x", "sys", "--pre", "p", "--if-pre-fails", "maybe"], /no-bookmark or crash-consistent/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await cli.run(...args);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  }
});

/** Scripts as real processes in a real folder. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { aroundBookmark, type ScriptContext } from "../../../src/automation/around-bookmark.ts";
import { ScriptFolder } from "../../../src/automation/script-folder.ts";
import { runScript } from "../../../src/automation/script-run.ts";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import type { BookmarkScripts } from "../../../src/contract/scripts.ts";
import { createLog } from "../../../src/observe/log.ts";

const log = createLog({ level: "error", format: "json", write: () => undefined });
let scratch: string;
let dir: string;
let folder: ScriptFolder;
beforeEach(() => {
  scratch = fs.mkdtempSync(join(tmpdir(), "sternway-scripts-"));
  dir = join(scratch, "scripts");
  folder = new ScriptFolder({ dir });
  folder.prepare();
});
afterEach(() => fs.rmSync(scratch, { recursive: true, force: true }));

function place(name: string, body: string, mode = 0o755): string {
  const path = join(dir, name);
  fs.writeFileSync(path, `#!/bin/sh\n${body}\n`);
  fs.chmodSync(path, mode);
  return path;
}

async function run(
  name: string,
  options: { timeoutMs?: number; graceMs?: number; signal?: AbortSignal; clock?: Clock } = {},
) {
  using script = folder.open(name);
  return await runScript(script, {
    phase: "pre",
    env: { STERNWAY_MACHINE: "web", STERNWAY_PHASE: "pre" },
    timeoutMs: 10_000,
    clock: systemClock,
    ...options,
  });
}

/** Whether a process is there and is not a zombie. */
function lives(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return fs.existsSync(stat) && !/^\d+ \(.*\) [ZX]/.test(fs.readFileSync(stat, "utf8"));
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("it did not come to that within 20 s");
    await systemClock.sleep(5);
  }
}

/** A clock on which so many milliseconds are over as soon as `isSo`: how long a script takes to come to a place is the machine's affair. */
function overWhen(limitMs: number, isSo: () => boolean): Clock {
  return {
    ...systemClock,
    timer(delayMs, fire) {
      if (delayMs !== limitMs) return systemClock.timer(delayMs, fire);
      let isCancelled = false;
      void until(() => isCancelled || isSo()).then(() => (isCancelled ? undefined : fire()));
      return { cancel: () => void (isCancelled = true) };
    },
  };
}

/** How many whole lines a file has. */
function linesIn(path: string): number {
  return fs.existsSync(path) ? fs.readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

describe("runScript()", () => {
  test("runs with a clean environment, nothing to read, and no descriptors of ours", async () => {
    process.env["STERNWAY_TEST_SECRET"] = "leak";
    // No pipe after ls: the shell itself would hold an end of it for a moment.
    place(
      "env",
      "env; pwd; readlink /proc/self/fd/0; echo open:; ls /proc/$$/fd; echo closed; cat; echo to-stderr >&2",
    );
    const result = await run("env");
    delete process.env["STERNWAY_TEST_SECRET"];
    expect(result).toMatchObject({ result: "ok", exitCode: 0, phase: "pre", script: "env", droppedBytes: 0 });
    const lines = result.output.split("\n");
    expect(
      lines
        .filter((line) => line.includes("="))
        .map((line) => line.split("=")[0]!)
        .sort(),
    ).toEqual(["LANG", "PATH", "PWD", "STERNWAY_MACHINE", "STERNWAY_PHASE"].sort());
    expect(lines).toContain("/dev/null");
    expect(lines).toContain("/");
    expect(result.output).toContain("to-stderr");
    // What whoever runs these tests left open, any child of this process has.
    const plain = Bun.spawnSync(["sh", "-c", "ls /proc/$$/fd"]).stdout.toString().trim().split("\n");
    // The script itself is 3; the shell opens it once more, as 10, to read it.
    const descriptors = lines.slice(lines.indexOf("open:") + 1, lines.indexOf("closed"));
    expect(descriptors).toContain("0");
    expect(descriptors.filter((each) => !plain.includes(each) || each === "3").sort()).toEqual(["10", "3"]);
  });

  test("says how a script failed, with the end of what it said, without what would move a terminal", async () => {
    place("fail", "printf 'no \\033[31mdatabase\\007 here\\n'; exit 3");
    expect(await run("fail")).toMatchObject({
      result: "failed",
      exitCode: 3,
      output: "no [31mdatabase here\n",
      reason: "it ended with exit code 3",
    });
    place("killed", "kill -9 $$");
    expect(await run("killed")).toMatchObject({ result: "failed", reason: "it was ended by SIGKILL" });
    fs.writeFileSync(join(dir, "format"), "no program at all");
    fs.chmodSync(join(dir, "format"), 0o755);
    expect(await run("format")).toMatchObject({ result: "failed" });
  });

  test("a script that ignores TERM, and its children that do, are killed after the grace", async () => {
    const pids = join(scratch, "pids");
    place(
      "stubborn",
      `trap '' TERM\n(trap '' TERM; echo $$ >> ${pids}; while :; do sleep 0.1; done) &\necho $! >> ${pids}\nwait\nwhile :; do sleep 0.1; done`,
    );
    const clock = overWhen(300, () => linesIn(pids) === 2);
    const result = await run("stubborn", { timeoutMs: 300, graceMs: 200, clock });
    expect(result).toMatchObject({ result: "timed-out", reason: "it was still running after 0.3 s" });
    const started = fs.readFileSync(pids, "utf8").trim().split("\n").map(Number);
    await until(() => started.every((pid) => !lives(pid)));
  });

  test("children that outlive a script which heeds TERM are killed with it", async () => {
    const pid = join(scratch, "pid");
    place("parent", `(trap '' TERM; while :; do sleep 0.1; done) & echo $! > ${pid}\nwait`);
    const clock = overWhen(300, () => linesIn(pid) === 1);
    expect(await run("parent", { timeoutMs: 300, graceMs: 5000, clock })).toMatchObject({ result: "timed-out" });
    await until(() => !lives(Number(fs.readFileSync(pid, "utf8"))));
  });

  test("what a script leaves running when it ends well is neither waited for nor killed", async () => {
    const pid = join(scratch, "pid");
    place("watchdog", `(sleep 60) & echo $! > ${pid}\necho frozen`);
    const result = await run("watchdog");
    expect(result).toMatchObject({ result: "ok", output: "frozen\n" });
    const left = Number(fs.readFileSync(pid, "utf8"));
    expect(lives(left)).toBe(true);
    process.kill(left, "SIGKILL");
  });

  test("a flood of output is drained, counted and kept up to 8 KiB", async () => {
    place("flood", "head -c 20000000 /dev/zero | tr '\\0' 'x'; echo; echo the end");
    const result = await run("flood");
    expect(result.result).toBe("ok");
    expect(result.output.length).toBe(8192);
    expect(result.output.endsWith("the end\n")).toBe(true);
    expect(result.droppedBytes + 8192).toBe(20_000_000 + "\nthe end\n".length);
  });

  test("a signal ends it as its limit would", async () => {
    const stop = new AbortController();
    const ready = join(scratch, "ready");
    place("long", `echo > ${ready}; sleep 60`);
    const running = run("long", { signal: stop.signal });
    await until(() => fs.existsSync(ready));
    stop.abort();
    expect(await running).toMatchObject({ result: "stopped" });
  });

  test("what is put in a script's place after it was judged is not what runs", async () => {
    const path = place("swap", "echo judged");
    using script = folder.open("swap");
    fs.renameSync(path, join(scratch, "away"));
    place("swap", "echo replaced");
    const result = await runScript(script, { phase: "pre", env: {}, timeoutMs: 5000, clock: systemClock });
    expect(result.output).toBe("judged\n");
  });
});

describe("ScriptFolder", () => {
  test("refuses links, pipes, folders, what others can write to, what is not executable, and paths", () => {
    const outside = join(scratch, "outside");
    fs.writeFileSync(outside, "#!/bin/sh\necho outside\n");
    fs.chmodSync(outside, 0o755);
    place("good", "exit 0");
    place("group", "exit 0", 0o775);
    place("world", "exit 0", 0o757);
    place("plain", "exit 0", 0o644);
    fs.symlinkSync(outside, join(dir, "link"));
    fs.mkdirSync(join(dir, "folder"));
    Bun.spawnSync(["mkfifo", join(dir, "pipe")]);
    const reasons: [string, RegExp][] = [
      ["link", /symbolic link/],
      ["folder", /not a file/],
      ["pipe", /not a file/],
      ["group", /written to by others/],
      ["world", /written to by others/],
      ["plain", /not executable/],
      ["../outside", /not a script's name/],
      ["a/b", /not a script's name/],
      ["", /not a script's name/],
      ["missing", /no script missing/],
    ];
    for (const [name, reason] of reasons) expect(() => folder.open(name)).toThrow(reason);
    const listed = folder.list();
    expect(listed.folder).toBe(dir);
    expect(listed.scripts.filter(({ fit }) => fit).map(({ name }) => name)).toEqual(["good"]);
    expect(listed.scripts.find(({ name }) => name === "group")).toMatchObject({
      mode: "0775",
      reason: expect.stringContaining("written"),
    });
  });

  test("runs nothing of a folder that others can write to, that is a link, or that belongs to somebody else", () => {
    place("good", "exit 0");
    fs.chmodSync(dir, 0o777);
    expect(() => folder.open("good")).toThrow(/can be written to by others/);
    expect(folder.list()).toMatchObject({ scripts: [], reason: expect.stringContaining("written to by others") });
    fs.chmodSync(dir, 0o700);
    folder.open("good")[Symbol.dispose]();
    fs.symlinkSync(dir, join(scratch, "linked"));
    expect(() => new ScriptFolder({ dir: join(scratch, "linked") }).open("good")).toThrow(/cannot be opened/);
  });

  test("runs what belongs to root or to its own user, and to nobody else", () => {
    const path = place("owned", "exit 0");
    const user = process.geteuid!();
    if (user !== 0) return;
    fs.chownSync(path, 1234, 1234);
    expect(() => folder.open("owned")).toThrow(/belongs to user 1234/);
    new ScriptFolder({ dir, user: 1234 }).open("owned")[Symbol.dispose]();
    expect(() => new ScriptFolder({ dir, user: 99 }).open("owned")).toThrow(/belongs to user 1234/);
  });
});

describe("aroundBookmark()", () => {
  const settings = (change: Partial<BookmarkScripts>): BookmarkScripts => ({
    pre: "pre",
    post: "post",
    timeoutSeconds: 5,
    ifPreFails: "no-bookmark",
    ...change,
  });
  const trace = (): string[] => {
    const path = join(scratch, "trace");
    return fs.existsSync(path) ? fs.readFileSync(path, "utf8").trim().split("\n") : [];
  };
  const told: { kind: string; message: string }[] = [];
  /** What is noted as frozen now. */
  const owed: string[] = [];
  const context = (change: Partial<ScriptContext> = {}): ScriptContext => ({
    folder,
    clock: systemClock,
    log,
    machine: "web",
    volumes: ["web-system", "web-data"],
    bookmark: "b1",
    noteFrozen: (script, seconds) => {
      owed.push(`${script} ${seconds}`);
      return () => void owed.pop();
    },
    tell: (event) => void told.push(event),
    ...change,
  });
  const note = (line: string): void => fs.appendFileSync(join(scratch, "trace"), `${line}\n`);
  const tracing = (then = ""): string =>
    `echo "$STERNWAY_PHASE $STERNWAY_MACHINE [$STERNWAY_VOLUMES] $STERNWAY_BOOKMARK $STERNWAY_OUTCOME" >> ${join(scratch, "trace")}; ${then}`;
  beforeEach(() => void told.splice(0));

  test("runs one before and one after, which are told what it is about", async () => {
    place("pre", tracing());
    place("post", tracing());
    const done = await aroundBookmark(settings({}), context(), async (text) => {
      note("bookmark");
      expect(owed).toEqual(["post 5"]);
      return text;
    });
    expect(owed).toEqual([]);
    expect(done).toMatchObject({ result: "application-consistent (pre, post)", consistency: "application" });
    expect(trace()).toEqual([
      "pre web [web-system web-data] b1 ",
      "bookmark",
      "post web [web-system web-data] b1 made",
    ]);
  });

  test("without the one before there is no bookmark, but the one after runs", async () => {
    place("pre", tracing("echo no database; exit 1"));
    place("post", tracing());
    const made = aroundBookmark(settings({}), context(), async () => note("bookmark"));
    await expect(made).rejects.toThrow(
      "no bookmark b1 was made: script pre: it ended with exit code 1 and said: no database",
    );
    expect(trace().map((line) => line.split(" ")[0]!)).toEqual(["pre", "post"]);
    expect(trace().at(-1)).toEndWith("b1 failed");
  });

  test("or one that says that it is crash-consistent only, by setting, also when the script is not fit to run", async () => {
    place("pre", tracing("exit 1"));
    place("post", tracing());
    const wanted = settings({ ifPreFails: "crash-consistent" });
    const first = await aroundBookmark(wanted, context(), async (text) => text);
    expect(first.consistency).toBe("crash");
    expect(first.result).toStartWith("crash-consistent only: script pre: it ended with exit code 1");
    fs.chmodSync(join(dir, "pre"), 0o777);
    const second = await aroundBookmark(wanted, context(), async (text) => text);
    expect(second.result).toContain("written to by others");
    expect(second.scripts.map(({ result }) => result)).toEqual(["unfit"]);
  });

  test("nothing is frozen when what thaws it could not run", async () => {
    place("pre", tracing());
    const made = aroundBookmark(settings({ post: "absent" }), context(), async () => note("bookmark"));
    await expect(made).rejects.toThrow(/no script absent/);
    expect(trace()).toEqual([]);
  });

  test("what thaws is the script that was there before anything was frozen, whatever became of it since", async () => {
    place("pre", tracing(`echo "#!/bin/sh" > ${join(dir, "new")}; mv ${join(dir, "new")} ${join(dir, "post")}`));
    place("post", tracing());
    await aroundBookmark(settings({}), context(), async () => note("bookmark"));
    expect(trace().map((line) => line.split(" ")[0]!)).toEqual(["pre", "bookmark", "post"]);
  });

  test("the one after runs when the bookmark fails, and when it was told to stop during the one before", async () => {
    place("pre", tracing());
    place("post", tracing());
    const failing = aroundBookmark(settings({}), context(), async () => {
      throw new SternwayError("unavailable", "the disk is full");
    });
    await expect(failing).rejects.toThrow("the disk is full");
    const stop = new AbortController();
    place("pre", tracing("sleep 60"));
    const stopped = aroundBookmark(settings({ timeoutSeconds: 50 }), context({ signal: stop.signal }), async () =>
      note("bookmark"),
    );
    stopped.catch(() => undefined);
    await until(() => trace().length === 3);
    stop.abort();
    await expect(stopped).rejects.toThrow(/no bookmark b1 was made/);
    expect(trace().map((line) => line.split(" ")[0]!)).toEqual(["pre", "post", "pre", "post"]);
    expect(owed).toEqual([]);
  });

  test("the bookmark stands when the one after fails, and people are told", async () => {
    place("pre", tracing());
    place("post", "echo still frozen; exit 9");
    const done = await aroundBookmark(settings({}), context(), async () => "made");
    expect(done.consistency).toBe("application");
    expect(done.scripts.map(({ phase, result }) => `${phase} ${result}`)).toEqual(["pre ok", "post failed"]);
    expect(told).toMatchObject([
      { kind: "script-failed", message: expect.stringContaining("exit code 9 and said: still frozen") },
    ]);
  });
});

/**
 * The clients that people have, against a whole appliance: live volumes and past moments, over unix sockets, TCP and HTTP.
 * Every tool is started as a user would start it; what it reads back is held against a file.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, sternway, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 120_000;
const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const run = (...command: string[]): Promise<string> => succeed(command, { cwd: folder });
let daemon: DaemonProcess;

beforeAll(async () => {
  daemon = await DaemonProcess.start(at("data"), {
    config: { storage: { journalFileBytes: "16MiB" } },
    words: ["--nbd", `unix:${at("blocks.sock")}`, "--nbd", "127.0.0.1:0"],
  });
}, TIMEOUT_MS);

afterAll(async () => {
  const complaints = daemon.complaints;
  const stopped = await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
  expect(stopped.code).toBe(0);
}, TIMEOUT_MS);

/** A file with data, explicit zeroes and holes that no tool can guess. */
function imageFile(name: string, sizeBytes: number, seed: number): string {
  const random = seededRandom(seed);
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes;) {
    const length = Math.min(4096 * (1 + random.below(120)), sizeBytes - offset);
    if (random.below(3) > 0) bytes.set(random.bytes(length), offset);
    offset += length;
  }
  writeFileSync(at(name), bytes);
  return at(name);
}

function same(left: string, right: string): void {
  expect(Buffer.compare(readFileSync(left), readFileSync(right)), `${left} and ${right} differ`).toBe(0);
}

async function create(name: string, sizeBytes: number): Promise<string> {
  await daemon.command("volume", "create", name, String(sizeBytes));
  return daemon.uri(name);
}

/** The volume's newest LSN: everything a client was answered by now. */
async function lsnOf(name: string): Promise<number> {
  return (await daemon.command<{ lastLsn: number }>("volume", "show", name)).lastLsn;
}

describe("fio", () => {
  const fio = async (
    uri: string,
    ...words: string[]
  ): Promise<{ writeBytes: number; readBytes: number; trims: number }> => {
    const out = await run(
      ...["fio", "--name=verify", "--ioengine=nbd", `--uri=${uri}`, "--size=32m", "--randrepeat=1"],
      ...["--verify=crc32c", "--verify_fatal=1", "--output-format=json", ...words],
    );
    const [job] = JSON.parse(out.slice(out.indexOf("{"))).jobs;
    expect(job.error).toBe(0);
    return { writeBytes: job.write.io_bytes, readBytes: job.read.io_bytes, trims: job.trim.total_ios };
  };
  const patterns: [string, string[]][] = [
    ["4 KiB random at depth 32", ["--rw=randwrite", "--bs=4k", "--iodepth=32"]],
    ["4 KiB random with an fsync every 8", ["--rw=randwrite", "--bs=4k", "--iodepth=16", "--fsync=8", "--io_size=8m"]],
    ["512 B random", ["--rw=randwrite", "--bs=512", "--iodepth=16", "--io_size=4m"]],
    ["512 B to 1 MiB on the 512 B grid", ["--rw=randwrite", "--bsrange=512-1m", "--blockalign=512", "--iodepth=8"]],
    ["1 MiB in order", ["--rw=write", "--bs=1m", "--iodepth=8"]],
    ["trims, each followed by its write", ["--rw=trimwrite", "--bs=64k", "--iodepth=1"]],
    ["reads and writes mixed", ["--rw=randrw", "--bs=16k", "--iodepth=16", "--rwmixread=50"]],
  ];
  for (const [i, [name, words]] of patterns.entries()) {
    testWith(
      ["fio"],
      `fio verifies what it wrote: ${name}`,
      async () => {
        const done = await fio(await create(`fio${i}`, 32 * MIB), ...words, "--do_verify=1");
        expect(done.writeBytes).toBeGreaterThan(3 * MIB);
        expect(done.readBytes).toBeGreaterThan(MIB);
        if (name.startsWith("trims")) expect(done.trims).toBeGreaterThan(0);
      },
      TIMEOUT_MS,
    );
  }

  testWith(
    ["fio"],
    "fio verifies a past moment after the live volume was overwritten",
    async () => {
      const uri = await create("fiopast", 32 * MIB);
      const job = ["--rw=randwrite", "--bs=8k", "--iodepth=16", "--end_fsync=1", "--do_verify=0"];
      await fio(uri, ...job, "--randseed=1");
      const then = await lsnOf("fiopast");
      await fio(uri, ...job, "--randseed=2", "--verify_pattern=0x5a");
      const past = daemon.uri(`fiopast@lsn:${then}`);
      const read = ["--rw=randread", "--bs=8k", "--iodepth=16", "--readonly", "--randseed=1"];
      expect((await fio(past, ...read)).readBytes).toBe(32 * MIB);
      // The test itself must be able to fail: writes through the past export are refused.
      expect(
        (await execute(["fio", "--name=x", "--ioengine=nbd", `--uri=${past}`, "--size=1m", "--rw=write"])).code,
      ).not.toBe(0);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["fio"],
    "fio with four jobs on connections of their own verifies all",
    async () => {
      const done = await fio(
        await create("fiojobs", 128 * MIB),
        ...["--rw=randwrite", "--bs=4k", "--iodepth=8", "--numjobs=4", "--offset_increment=32m", "--io_size=8m"],
        ...["--fsync=32", "--do_verify=1", "--group_reporting"],
      );
      expect(done.writeBytes).toBe(32 * MIB);
    },
    TIMEOUT_MS,
  );
});

describe("libnbd", () => {
  testWith(
    ["nbdcopy"],
    "nbdcopy copies in and out byte for byte, of the present and of a past moment, on every kind of address",
    async () => {
      const before = imageFile("before.img", 48 * MIB, 1);
      const after = imageFile("after.img", 48 * MIB, 2);
      const uri = await create("copy", 48 * MIB);
      await run("nbdcopy", "--flush", before, uri);
      const then = await lsnOf("copy");
      await run("nbdcopy", "--flush", after, uri);
      await run("nbdcopy", uri, at("out.img"));
      same(at("out.img"), after);
      await run("nbdcopy", daemon.uri(`copy@lsn:${then}`), at("past.img"));
      same(at("past.img"), before);
      await run(
        "nbdcopy",
        "--synchronous",
        `nbd+unix:///copy%40lsn:${then}?socket=${at("blocks.sock")}`,
        at("sync.img"),
      );
      same(at("sync.img"), before);
      const tcp = daemon.addresses.nbd.find((address) => address.startsWith("127."))!;
      await run("nbdcopy", `nbd://${tcp}/copy@lsn:${then}`, at("tcp.img"));
      same(at("tcp.img"), before);
      // From one of our exports into another, whole.
      const other = await create("copy2", 48 * MIB);
      await run("nbdcopy", daemon.uri(`copy@lsn:${then}`), other);
      await run("nbdcopy", other, at("twice.img"));
      same(at("twice.img"), before);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbdcopy"],
    "nbdcopy reads only what is data: holes of a nearly empty volume cost no reads",
    async () => {
      const uri = await create("sparse", 4096 * MIB);
      await run("qemu-io", "-f", "raw", "-c", "write -P 1 100M 1M", "-c", "write -P 2 3000M 64k", uri);
      const readBefore = await readBytes("sparse");
      await run("nbdcopy", uri, at("sparse.img"));
      const read = (await readBytes("sparse")) - readBefore;
      expect(read).toBeGreaterThanOrEqual(MIB + 65_536);
      expect(read).toBeLessThan(4 * MIB);
      expect(statSync(at("sparse.img")).blocks * 512).toBeLessThan(8 * MIB);
      await run("qemu-io", "-f", "raw", "-r", "-c", "read -P 1 100M 1M", "-c", "read -P 0 0 100M", at("sparse.img"));
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbdinfo", "qemu-io"],
    "nbdinfo tells size, list and map, live and past",
    async () => {
      const uri = await create("map", 16 * MIB);
      await run("qemu-io", "-f", "raw", "-c", "write -P 1 1M 1M", "-c", "write -z 4M 1M", "-c", "flush", uri);
      const then = await lsnOf("map");
      await run("qemu-io", "-f", "raw", "-c", "discard 1M 512k", "-c", "write -P 2 8M 4k", "-c", "flush", uri);
      expect((await run("nbdinfo", "--size", uri)).trim()).toBe(String(16 * MIB));
      const list = JSON.parse(await run("nbdinfo", "--json", "--list", daemon.uri("")));
      expect(list.exports.map((each: Record<string, unknown>) => each["export-name"])).toContain("map");
      const map = async (name: string): Promise<number[][]> =>
        JSON.parse(await run("nbdinfo", "--json", "--map", daemon.uri(name))).map(
          (each: { offset: number; length: number; type: number }) => [each.offset, each.length, each.type],
        );
      // 3: hole, 0: data, 2: zeroes that stay allocated, which is what qemu asks for without -u.
      expect(await map(`map@lsn:${then}`)).toEqual([
        [0, MIB, 3],
        [MIB, MIB, 0],
        [2 * MIB, 2 * MIB, 3],
        [4 * MIB, MIB, 2],
        [5 * MIB, 11 * MIB, 3],
      ]);
      const now = await map("map");
      const typeAt = (offset: number): number | undefined =>
        now.find(([from, length]) => from! <= offset && offset < from! + length!)?.[2];
      expect([typeAt(MIB), typeAt(MIB + MIB / 2), typeAt(8 * MIB), typeAt(8 * MIB + 4096)]).toEqual([3, 0, 0, 3]);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbdkit", "nbdcopy"],
    "nbdkit's nbd plugin passes our exports on, and its own count of reads agrees that holes are skipped",
    async () => {
      const uri = await create("proxied", 1024 * MIB);
      await run("qemu-io", "-f", "raw", "-c", "write -P 7 512M 1M", uri);
      await run(
        ...["nbdkit", "-U", "-", "--filter=stats", "nbd", `uri=${uri}`, `statsfile=${at("stats")}`],
        ...["--run", `nbdcopy "$uri" ${at("proxied.img")}`],
      );
      const read = /^read: (\d+) ops.*?([\d.]+) (bytes|KiB|MiB|GiB)/m.exec(readFileSync(at("stats"), "utf8"));
      expect(read?.[3]).toBe("MiB");
      expect(Number(read?.[2])).toBeLessThan(4);
      await run("qemu-io", "-f", "raw", "-r", "-c", "read -P 7 512M 1M", at("proxied.img"));
    },
    TIMEOUT_MS,
  );

  testWith(
    ["nbdinfo"],
    "nbdinfo and nbdcopy get a plain refusal for volumes and moments that are not there",
    async () => {
      await create("known", MIB);
      for (const name of ["unknown", "known@bookmark:none", "known@lsn:99999999999", "known@1999-01-01T00:00:00Z"]) {
        const { code, err } = await execute(["nbdinfo", daemon.uri(name)]);
        expect({ name, code }).toEqual({ name, code: 1 });
        expect(err).toMatch(/No such file|Invalid argument/);
      }
    },
    TIMEOUT_MS,
  );
});

/** Bytes that clients read from a volume so far, as /metrics tells. */
async function readBytes(volume: string): Promise<number> {
  const metrics = await daemon.client.metrics();
  const line = new RegExp(`^sternway_\\w*read\\w*bytes\\w*\\{[^}]*volume="${volume}"[^}]*\\} (\\S+)$`, "m").exec(
    metrics,
  );
  if (!line) throw new Error(`no count of bytes read from ${volume}:\n${metrics}`);
  return Number(line[1]);
}

describe("qemu", () => {
  testWith(
    ["qemu-img"],
    "qemu-img converts raw and qcow2 in and out, and compares the present, the past and a file",
    async () => {
      const first = imageFile("first.img", 32 * MIB, 3);
      const second = imageFile("second.img", 32 * MIB, 4);
      const uri = await create("convert", 32 * MIB);
      await run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", first, uri);
      const then = daemon.uri(`convert@lsn:${await lsnOf("convert")}`);
      await run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", second, at("second.qcow2"));
      await run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", at("second.qcow2"), uri);
      await run("qemu-img", "compare", "-f", "raw", "-F", "raw", then, first);
      await run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri, at("second.qcow2"));
      expect((await execute(["qemu-img", "compare", "-f", "raw", "-F", "raw", uri, then])).code).toBe(1);
      await run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", then, at("past.qcow2"));
      await run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", at("past.qcow2"), first);
      await run("qemu-img", "convert", "-f", "raw", "-O", "raw", then, at("past.raw"));
      same(at("past.raw"), first);
      expect(JSON.parse(await run("qemu-img", "info", "--output=json", then))["virtual-size"]).toBe(32 * MIB);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-img", "qemu-io"],
    "qemu-img map tells data from holes, live and past",
    async () => {
      const uri = await create("qmap", 8 * MIB);
      await run("qemu-io", "-f", "raw", "-c", "write -P 1 1M 1M", uri);
      const then = daemon.uri(`qmap@lsn:${await lsnOf("qmap")}`);
      await run("qemu-io", "-f", "raw", "-c", "discard 1M 1M", uri);
      const data = async (source: string): Promise<number> =>
        JSON.parse(await run("qemu-img", "map", "--output=json", "-f", "raw", source))
          .filter((each: { data: boolean }) => each.data)
          .reduce((sum: number, each: { length: number }) => sum + each.length, 0);
      expect(await data(then)).toBe(MIB);
      expect(await data(uri)).toBe(0);
    },
    TIMEOUT_MS,
  );

  testWith(
    ["qemu-io"],
    "qemu-io does what a guest does, and each step is a moment that can be read",
    async () => {
      const uri = await create("steps", 8 * MIB);
      const steps: { command: string; reads: string[] }[] = [
        { command: "write -P 0x5a 4096 1M", reads: ["read -P 0x5a 4096 1M", "read -P 0 0 4096"] },
        { command: "write -f -P 0x33 512 512", reads: ["read -P 0x33 512 512", "read -P 0 1024 3072"] },
        { command: "write -z 8192 4096", reads: ["read -P 0 8192 4096", "read -P 0x5a 12288 4096"] },
        { command: "write -z -u 16384 512", reads: ["read -P 0 16384 512", "read -P 0x5a 16896 3584"] },
        { command: "discard 1M 4096", reads: ["read -P 0 1M 4096", "read -P 0x5a 20480 4096"] },
        { command: "writev -P 0x77 2M 512 1024 4096", reads: ["read -P 0x77 2M 5632"] },
        { command: "write -P 0x11 0 8M", reads: ["read -P 0x11 0 8M"] },
      ];
      const moments: number[] = [];
      for (const { command, reads } of steps) {
        await run("qemu-io", "-f", "raw", "-c", command, "-c", "flush", ...commands(reads), uri);
        moments.push(await lsnOf("steps"));
      }
      for (const [i, { reads }] of steps.entries()) {
        const out = await run("qemu-io", "-r", "-f", "raw", ...commands(reads), daemon.uri(`steps@lsn:${moments[i]}`));
        expect(out).not.toContain("Pattern verification failed");
      }
      const { code, out, err } = await execute([
        "qemu-io",
        "-f",
        "raw",
        "-c",
        "write 0 4k",
        daemon.uri(`steps@lsn:${moments[0]}`),
      ]);
      expect({ code, text: `${out}${err}` }).toMatchObject({
        code: 1,
        text: expect.stringMatching(/permission|read-only/i),
      });
    },
    TIMEOUT_MS,
  );
});

const commands = (lines: readonly string[]): string[] => lines.flatMap((line) => ["-c", line]);

testWith(
  ["curl"],
  "curl gets an image over HTTP: whole, in ranges, resumed, and its size alone",
  async () => {
    const curl = ["curl", "--fail", "--silent", ...(await daemon.bearer())];
    const image = imageFile("http.img", 24 * MIB, 6);
    expect((await sternway(daemon.dataDir, "import", image, "http")).code).toBe(0);
    const url = `${daemon.addresses.http}/v1/volumes/http/image?at=lsn:${await lsnOf("http")}`;
    await run("qemu-io", "-f", "raw", "-c", "write -P 9 0 24M", daemon.uri("http"));
    await run(...curl, "--output", at("http-out.img"), url);
    same(at("http-out.img"), image);
    await run(...curl, "--range", "1000000-3000000", "--output", at("part"), url);
    expect(Buffer.compare(readFileSync(at("part")), readFileSync(image).subarray(1_000_000, 3_000_001))).toBe(0);
    writeFileSync(at("resumed.img"), readFileSync(image).subarray(0, 5_000_001));
    await run(...curl, "--continue-at", "-", "--output", at("resumed.img"), url);
    same(at("resumed.img"), image);
    expect(await run(...curl, "--head", url)).toMatch(new RegExp(`content-length: ${24 * MIB}`, "i"));
    expect((await execute([...curl, "--range", "99999999-", url])).code).toBe(22);
  },
  TIMEOUT_MS,
);

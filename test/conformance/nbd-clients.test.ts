/**
 * The clients that people have, against our server: libnbd (nbdinfo, nbdcopy), QEMU (qemu-img, qemu-io) and fio.
 * A tool that is not installed is skipped by name.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { MemoryDevice } from "../support/memory-device.ts";
import { makeAuthority, serve, until, type TestAuthority } from "../support/nbd-harness.ts";
import { testWith, type Need } from "../support/require-tool.ts";

const MIB = 2 ** 20;
let folder: string;
let authority: TestAuthority;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nbd-clients-"));
  authority = makeAuthority();
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  authority[Symbol.dispose]();
});

/** A test of real clients. */
function testClients(tools: Need[], name: string, body: () => Promise<void>): void {
  testWith(tools, name, body, 30_000);
}

/** @returns stdout @throws with stderr when it fails */
async function run(...words: string[]): Promise<string> {
  const process = Bun.spawn(words, { stdout: "pipe", stderr: "pipe", cwd: folder });
  const [out, err] = await Promise.all([process.stdout.text(), process.stderr.text()]);
  if ((await process.exited) !== 0) throw new Error(`${words.join(" ")}: ${err}${out}`);
  return out;
}

/** A device with data, zeroes and holes in a pattern that no tool can guess. */
function patterned(sizeBytes: number, seed: number): MemoryDevice {
  const device = new MemoryDevice(sizeBytes);
  const random = seededRandom(seed);
  for (let at = 0; at < sizeBytes;) {
    const length = Math.min(4096 * (1 + random.below(200)), sizeBytes - at);
    const kind = random.below(3);
    device.kinds.fill(kind, at / 4096, (at + length) / 4096);
    if (kind === 2) for (let i = at; i < at + length; i += 64) device.bytes[i] = 1 + random.below(255);
    at += length;
  }
  return device;
}

const uriOf = (path: string, name: string): string => `nbd+unix:///${name}?socket=${path}`;

testClients(["nbdinfo"], "nbdinfo tells the export's facts, lists, and says what an unknown export is", async () => {
  await using at = serve({
    web1: { device: new MemoryDevice(8 * MIB), description: "the web server", readOnly: true },
  });
  const { exports } = JSON.parse(await run("nbdinfo", "--json", uriOf(at.path, "web1")));
  expect(exports[0]).toMatchObject({
    "export-name": "web1",
    description: "the web server",
    contexts: ["base:allocation"],
    is_read_only: true,
    can_df: true,
    can_flush: true,
    can_cache: true,
    can_multi_conn: true,
    "export-size": 8 * MIB,
    block_size_minimum: 512,
    block_size_preferred: 4096,
    block_size_maximum: 32 * MIB,
  });
  const listed = JSON.parse(await run("nbdinfo", "--json", "--list", `nbd+unix://?socket=${at.path}`));
  expect(listed.exports.map((entry: Record<string, unknown>) => entry["export-name"])).toEqual(["web1"]);
  await expect(run("nbdinfo", uriOf(at.path, "nosuch"))).rejects.toThrow(
    "No such file or directory for export: nosuch",
  );
});

testClients(["qemu-img"], "qemu-img prints our message for an export that cannot be opened", async () => {
  await using at = serve({});
  await expect(run("qemu-img", "info", uriOf(at.path, "nosuch"))).rejects.toThrow('there is no volume "nosuch"');
});

testClients(["nbdinfo"], "nbdinfo --map shows data, zeroes and holes where they are", async () => {
  const device = patterned(16 * MIB, 11);
  await using at = serve({ disk: { device } });
  const map: { offset: number; length: number; type: number }[] = JSON.parse(
    await run("nbdinfo", "--json", "--map", uriOf(at.path, "disk")),
  );
  for (const { offset, length, type } of map) {
    for (let block = offset / 4096; block < (offset + length) / 4096; block++) {
      expect(type, `block ${block}`).toBe([3, 2, 0][device.kinds[block]!]!);
    }
  }
  expect(map.reduce((sum, { length }) => sum + length, 0)).toBe(16 * MIB);
});

testClients(["nbdcopy"], "nbdcopy copies out, and in again, byte for byte over several connections", async () => {
  const device = patterned(64 * MIB, 12);
  const copy = new MemoryDevice(64 * MIB);
  await using at = serve({ disk: { device }, copy: { device: copy } });
  const file = join(folder, "out.img");
  await run("nbdcopy", uriOf(at.path, "disk"), file);
  expect(Buffer.compare(await Bun.file(file).bytes(), device.bytes)).toBe(0);
  await run("nbdcopy", "--flush", file, uriOf(at.path, "copy"));
  expect(Buffer.compare(copy.bytes, device.bytes)).toBe(0);
  expect(copy.flushCount).toBeGreaterThan(0);
  await run("nbdcopy", uriOf(at.path, "disk"), uriOf(at.path, "copy"));
  expect(Buffer.compare(copy.bytes, device.bytes)).toBe(0);
  await until(() => device.closeCount === device.openCount, "every session has closed its device");
});

testClients(
  ["nbdcopy"],
  "nbdcopy with synchronous requests and without block status gives the same bytes",
  async () => {
    const device = patterned(8 * MIB, 13);
    await using at = serve({ disk: { device } });
    const file = join(folder, "plain.img");
    await run("nbdcopy", "--synchronous", "--no-extents", uriOf(at.path, "disk"), file);
    expect(Buffer.compare(await Bun.file(file).bytes(), device.bytes)).toBe(0);
  },
);

testClients(["qemu-img"], "qemu-img tells size and map, converts both ways, and compares equal", async () => {
  const device = patterned(32 * MIB, 14);
  const copy = new MemoryDevice(32 * MIB);
  await using at = serve({ disk: { device }, copy: { device: copy } });
  const uri = uriOf(at.path, "disk");
  expect(JSON.parse(await run("qemu-img", "info", "--output=json", uri))["virtual-size"]).toBe(32 * MIB);
  const map: { start: number; length: number; data: boolean; zero: boolean }[] = JSON.parse(
    await run("qemu-img", "map", "--output=json", "-f", "raw", uri),
  );
  for (const { start, length, data, zero } of map) {
    for (let block = start / 4096; block < (start + length) / 4096; block++) {
      const kind = device.kinds[block]!;
      expect([data, zero], `block ${block}`).toEqual([kind !== 0, kind !== 2]);
    }
  }
  await run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, "disk.qcow2");
  await run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", "disk.qcow2", uriOf(at.path, "copy"));
  expect(Buffer.compare(copy.bytes, device.bytes)).toBe(0);
  expect(await run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri, "disk.qcow2")).toContain("identical");
});

testClients(["qemu-io"], "qemu-io writes, reads, zeroes, discards and flushes", async () => {
  const device = new MemoryDevice(8 * MIB);
  await using at = serve({ disk: { device } });
  const out = await run(
    "qemu-io",
    "-f",
    "raw",
    "-c",
    "write -P 0x5a 4096 1M",
    "-c",
    "read -P 0x5a 4096 1M",
    "-c",
    "write -f -P 0x33 0 512",
    "-c",
    "read -P 0x33 0 512",
    "-c",
    "write -z -u 8192 4096",
    "-c",
    "write -z 16384 4096",
    "-c",
    "discard 1M 4096",
    "-c",
    "aio_write -P 7 2M 64k",
    "-c",
    "aio_flush",
    "-c",
    "flush",
    uriOf(at.path, "disk"),
  );
  expect(out).not.toContain("fail");
  expect([device.kinds[2], device.kinds[4], device.kinds[256]]).toEqual([0, 1, 0]);
  expect(device.fuaCount).toBeGreaterThan(0);
  expect(device.flushCount).toBeGreaterThan(0);
  expect(device.bytes[2 * MIB + 65535]).toBe(7);
});

testClients(["qemu-io"], "qemu-io on a read-only export can read and cannot write", async () => {
  const device = patterned(MIB, 15);
  await using at = serve({ disk: { device, readOnly: true } });
  await run("qemu-io", "-r", "-f", "raw", "-c", "read 0 1M", uriOf(at.path, "disk"));
  await expect(run("qemu-io", "-f", "raw", "-c", "write 0 4k", uriOf(at.path, "disk"))).rejects.toThrow(
    /permission denied|read-only/i,
  );
  expect(device.writeCount).toBe(0);
});

for (const [name, words] of [
  ["4 KiB random at depth 32", ["--bs=4k", "--iodepth=32", "--rw=randwrite"]],
  [
    "512 B to 64 KiB random with trims and fsyncs",
    ["--bsrange=512-64k", "--bs_unaligned=0", "--iodepth=16", "--rw=randwrite", "--fsync=32"],
  ],
  ["1 MiB sequential at depth 8", ["--bs=1m", "--iodepth=8", "--rw=write"]],
] as const) {
  testClients(["fio"], `fio verifies what it wrote: ${name}`, async () => {
    const device = new MemoryDevice(32 * MIB);
    await using at = serve({ disk: { device } });
    const out = await run(
      "fio",
      "--name=verify",
      "--ioengine=nbd",
      `--uri=${uriOf(at.path, "disk")}`,
      "--size=32m",
      ...words,
      "--verify=crc32c",
      "--do_verify=1",
      "--verify_fatal=1",
      "--output-format=json",
    );
    const [job] = JSON.parse(out.slice(out.indexOf("{"))).jobs;
    expect(job.error).toBe(0);
    expect(job.write.io_bytes).toBeGreaterThanOrEqual(31 * MIB);
    expect(job.read.io_bytes).toBe(job.write.io_bytes);
  });
}

testClients(
  ["nbdinfo", "nbdcopy"],
  "libnbd over TLS with client certificates reads everything, and gets nothing in without",
  async () => {
    const device = patterned(16 * MIB, 16);
    await using at = serve(
      { disk: { device } },
      {
        listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
        tls: {
          key: authority.serverKey,
          cert: authority.serverCert,
          ca: authority.ca,
          required: true,
          clientCertificate: true,
        },
      },
    );
    if (at.server.address.kind !== "tcp") throw new Error("not TCP");
    const host = `localhost:${at.server.address.port}`;
    const secure = `nbds://${host}/disk?tls-certificates=${authority.folder}`;
    expect(JSON.parse(await run("nbdinfo", "--json", secure))).toMatchObject({ TLS: true });
    await run("nbdcopy", secure, "tls.img");
    expect(Buffer.compare(await Bun.file(join(folder, "tls.img")).bytes(), device.bytes)).toBe(0);
    await expect(run("nbdinfo", `nbd://${host}/disk`)).rejects.toThrow(/TLS/);
  },
);

testClients(["qemu-img"], "qemu-img over TLS with client certificates converts", async () => {
  const device = patterned(16 * MIB, 17);
  await using at = serve(
    { disk: { device } },
    {
      listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
      tls: {
        key: authority.serverKey,
        cert: authority.serverCert,
        ca: authority.ca,
        required: true,
        clientCertificate: true,
      },
    },
  );
  if (at.server.address.kind !== "tcp") throw new Error("not TCP");
  await run(
    "qemu-img",
    "convert",
    "-O",
    "raw",
    "--object",
    `tls-creds-x509,id=tls0,dir=${authority.folder},endpoint=client`,
    "--image-opts",
    `driver=nbd,host=localhost,port=${at.server.address.port},export=disk,tls-creds=tls0`,
    "tls-qemu.img",
  );
  expect(Buffer.compare(await Bun.file(join(folder, "tls-qemu.img")).bytes(), device.bytes)).toBe(0);
});

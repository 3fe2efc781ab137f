/** An appliance that requires TLS and client certificates, made by openssl, on TCP: the clients that people have get in with them alone. */
import { afterAll, beforeAll, expect } from "bun:test";
import { copyFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { makeAuthority, type TestAuthority } from "../support/nbd-harness.ts";
import { missing, testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 120_000;
const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const run = (...command: string[]): Promise<string> => succeed(command, { cwd: folder });
let authority: TestAuthority | undefined;
let secure: DaemonProcess | undefined;
let host = "";

beforeAll(async () => {
  if (missing("openssl") !== undefined) return;
  authority = makeAuthority();
  const file = (name: string): string => join(authority!.folder, name);
  secure = await DaemonProcess.start(at("tls"), {
    config: {
      nbd: {
        listen: ["127.0.0.1:0"],
        tls: {
          certFile: file("server-cert.pem"),
          keyFile: file("server-key.pem"),
          caFile: file("ca-cert.pem"),
          required: true,
          clientCertificates: "require",
        },
      },
    },
  });
  host = secure.addresses.nbd.find((address) => address.startsWith("127."))!.replace("127.0.0.1", "localhost");
  await secure.command("volume", "create", "secret", "16M");
}, TIMEOUT_MS);

afterAll(async () => {
  const complaints = secure?.complaints ?? [];
  await secure?.stop();
  authority?.[Symbol.dispose]();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

testWith(
  ["openssl", "nbdcopy", "nbdinfo", "cmp"],
  "required TLS with client certificates: libnbd copies in and out with them, and nobody gets in without",
  async () => {
    const image = at("tls.img");
    writeFileSync(image, seededRandom(5).bytes(16 * MIB));
    const uri = `nbds://${host}/secret?tls-certificates=${authority!.folder}`;
    expect(JSON.parse(await run("nbdinfo", "--json", uri))).toMatchObject({ TLS: true });
    await run("nbdcopy", "--flush", image, uri);
    await run("nbdcopy", uri, at("tls-out.img"));
    await run("cmp", at("tls-out.img"), image);
    expect((await execute(["nbdinfo", `nbd://${host}/secret`])).err).toMatch(/TLS|encrypt|not supported/i);
    expect((await execute(["nbdinfo", "--list", `nbd://${host}`])).code).not.toBe(0);
    // Certificates of somebody else's authority, under the names that libnbd looks for.
    using stranger = makeAuthority();
    copyFileSync(join(authority!.folder, "ca-cert.pem"), join(stranger.folder, "ca-cert.pem"));
    expect((await execute(["nbdinfo", `nbds://${host}/secret?tls-certificates=${stranger.folder}`])).code).not.toBe(0);
  },
  TIMEOUT_MS,
);

testWith(
  ["openssl", "qemu-img"],
  "required TLS with client certificates: qemu-img converts with them, and not without",
  async () => {
    const target = (more: string): string[] => [
      "--image-opts",
      `driver=nbd,host=localhost,port=${host.split(":")[1]},export=secret${more}`,
    ];
    const credentials = ["--object", `tls-creds-x509,id=tls0,dir=${authority!.folder},endpoint=client`];
    await run("qemu-img", "convert", ...credentials, "-O", "raw", ...target(",tls-creds=tls0"), at("tls-qemu.img"));
    expect(statSync(at("tls-qemu.img")).size).toBe(16 * MIB);
    expect((await execute(["qemu-img", "info", ...target("")])).code).not.toBe(0);
  },
  TIMEOUT_MS,
);

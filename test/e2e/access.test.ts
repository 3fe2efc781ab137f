/**
 * The doors as the network sees them: HTTPS by the appliance's own authority, and blocks for those who hold a machine's credential. With the clients that people have: curl, libnbd,
 * qemu.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 120_000;
const PASSWORD = "a sentence for the test";
const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
let daemon: DaemonProcess;
let port = "";

beforeAll(async () => {
  daemon = await DaemonProcess.start(at("data"), {
    config: { http: { tls: "own" }, nbd: { listen: ["127.0.0.1:0"], credentials: "always" } },
  });
  port = daemon.addresses.nbd.find((address) => address.startsWith("127."))!.split(":")[1]!;
  for (const name of ["shop-data", "mail"]) await daemon.command("volume", "create", name, "16M");
  await daemon.command("machine", "add", "shop", "shop-data");
  await daemon.command("credential", "add", "shop", "--name", "host", "--write", "--out", at("host"));
  await daemon.command("credential", "add", "shop", "--name", "helpdesk", "--days", "7", "--out", at("helpdesk"));
}, TIMEOUT_MS);

afterAll(async () => {
  const complaints = daemon.complaints;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints.filter(({ msg }) => !/NBD client was refused|NBD export/.test(String(msg)))).toEqual([]);
}, TIMEOUT_MS);

const uri = (disk: string, credential: string): string =>
  `nbds://localhost:${port}/${disk}?tls-certificates=${at(credential)}`;

testWith(
  ["nbdcopy", "nbdinfo", "cmp"],
  "a credential reads and writes the disks of its machine with libnbd's clients, and no other's",
  async () => {
    expect(readdirSync(at("host")).sort()).toEqual(["ca-cert.pem", "client-cert.pem", "client-key.pem"]);
    expect(statSync(at("host/client-key.pem")).mode & 0o777).toBe(0o600);
    writeFileSync(at("in.img"), seededRandom(7).bytes(16 * MIB));
    await succeed(["nbdcopy", "--flush", at("in.img"), uri("shop-data", "host")]);
    await succeed(["nbdcopy", uri("shop-data@now", "helpdesk"), at("out.img")]);
    await succeed(["cmp", at("in.img"), at("out.img")]);
    expect((await execute(["nbdinfo", uri("shop-data", "helpdesk")])).code).not.toBe(0);
    expect((await execute(["nbdinfo", uri("mail@now", "host")])).code).not.toBe(0);
    const attached = JSON.stringify(await daemon.command("audit", "list", "--action", "nbd-attach"));
    expect(attached).toContain("shop: host");
    expect(attached).toContain("not a disk of shop");
    const listed = await succeed(["nbdinfo", "--list", "--json", uri("", "host")]);
    const { exports } = JSON.parse(listed) as { exports: { "export-name": string }[] };
    expect(exports.map((each) => each["export-name"])).toEqual(["shop-data"]);
    // Without TLS, and with TLS but without a certificate.
    expect((await execute(["nbdinfo", `nbd://localhost:${port}/shop-data`])).code).not.toBe(0);
    expect((await execute(["nbdinfo", `nbds://localhost:${port}/shop-data`])).code).not.toBe(0);
  },
  TIMEOUT_MS,
);

testWith(
  ["qemu-img"],
  "qemu takes the folder of a credential as it is",
  async () => {
    const credentials = ["--object", `tls-creds-x509,id=tls0,dir=${at("helpdesk")},endpoint=client`];
    const source = `driver=nbd,host=localhost,port=${port},export=shop-data@now,tls-creds=tls0`;
    await succeed(["qemu-img", "convert", ...credentials, "--image-opts", source, "-O", "raw", at("qemu.img")]);
    expect(statSync(at("qemu.img")).size).toBe(16 * MIB);
  },
  TIMEOUT_MS,
);

testWith(
  ["nbdinfo"],
  "a credential that is taken back ends its connections and opens nothing more",
  async () => {
    await daemon.command("credential", "add", "shop", "--name", "gone", "--out", at("gone"));
    const pem = (name: string): string => readFileSync(at(`gone/${name}.pem`), "utf8");
    const tls = { ca: pem("ca-cert"), cert: pem("client-cert"), key: pem("client-key") };
    const client = await connectNbd({ kind: "tcp", host: "localhost", port: Number(port), tls }, "shop-data@now");
    expect((await client.read(0, 512)).length).toBe(512);
    const [gone] = (await daemon.client.credentials("shop")).filter(({ name }) => name === "gone");
    await daemon.command("credential", "remove", "shop", String(gone!.id));
    await expect(client.read(0, 512)).rejects.toMatchObject({ kind: "unavailable" });
    await client.close();
    expect((await execute(["nbdinfo", uri("shop-data@now", "gone")])).code).not.toBe(0);
  },
  TIMEOUT_MS,
);

testWith(
  ["nbdinfo"],
  "a disk that leaves the machine ends the connections of its credentials to it",
  async () => {
    await daemon.command("credential", "add", "shop", "--name", "left", "--out", at("left"));
    const pem = (name: string): string => readFileSync(at(`left/${name}.pem`), "utf8");
    const tls = { ca: pem("ca-cert"), cert: pem("client-cert"), key: pem("client-key") };
    const client = await connectNbd({ kind: "tcp", host: "localhost", port: Number(port), tls }, "shop-data@now");
    expect((await client.read(0, 512)).length).toBe(512);
    await daemon.command("machine", "change", "shop", "--volume", "mail");
    try {
      await expect(client.read(0, 512)).rejects.toMatchObject({ kind: "unavailable" });
      expect((await execute(["nbdinfo", uri("shop-data@now", "left")])).code).not.toBe(0);
    } finally {
      await client.close();
      await daemon.command("machine", "change", "shop", "--volume", "shop-data");
    }
  },
  TIMEOUT_MS,
);

testWith(
  ["curl"],
  "HTTPS is trusted by the appliance's authority, asks who it is, and knows a session and a token",
  async () => {
    const base = daemon.addresses.http!.replace("127.0.0.1", "localhost");
    expect(base).toStartWith("https://");
    const curl = async (...words: string[]): Promise<{ status: number; body: string }> => {
      const out = await succeed(["curl", "-sS", "--cacert", at("host/ca-cert.pem"), "-w", "\n%{http_code}", ...words]);
      const cut = out.lastIndexOf("\n");
      return { status: Number(out.slice(cut + 1)), body: out.slice(0, cut) };
    };
    const json = (body: unknown): string[] => ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    expect((await execute(["curl", "-sS", `${base}/healthz`])).code).toBe(60);
    expect((await curl(`${base}/v1/volumes`)).status).toBe(401);
    expect(
      (await curl(`${base}/v1/setup`, ...json({ code: "AAAA-AAAA-AAAA", name: "eve", password: PASSWORD }))).status,
    ).toBe(403);
    await succeed([
      "curl",
      "-sSf",
      "--unix-socket",
      daemon.addresses.control,
      "http://localhost/v1/setup",
      ...json({ name: "ann", password: PASSWORD }),
    ]);
    const jar = at("cookies");
    const signedIn = await curl("-c", jar, `${base}/v1/session`, ...json({ name: "ann", password: PASSWORD }));
    expect(signedIn.status).toBeLessThan(300);
    expect(readFileSync(jar, "utf8")).toContain("__Host-");
    const session = await curl("-b", jar, `${base}/v1/session`);
    const { csrf } = JSON.parse(session.body) as { csrf: string };
    expect((await curl("-b", jar, `${base}/v1/volumes`)).status).toBe(200);
    const wish = json({ name: "robot", role: "auditor" });
    expect((await curl("-b", jar, `${base}/v1/tokens`, ...wish)).status).toBe(403);
    const made = await curl("-b", jar, "-H", `x-sternway-csrf: ${csrf}`, `${base}/v1/tokens`, ...wish);
    expect(made.status).toBe(201);
    const { token } = JSON.parse(made.body) as { token: string };
    const bearer = ["-H", `authorization: Bearer ${token}`];
    expect((await curl(...bearer, `${base}/metrics`)).body).toContain("sternway_");
    expect((await curl(...bearer, `${base}/v1/volumes/mail/image`)).status).toBe(403);
    expect((await curl(...bearer, "-X", "DELETE", `${base}/v1/volumes/mail`)).status).toBe(403);
  },
  TIMEOUT_MS,
);

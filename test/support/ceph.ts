/**
 * A real S3 service on this machine: one Ceph monitor, one object server that keeps its objects in memory, and one RADOS Gateway, all in a scratch folder and on
 * loopback, started from Debian's packages in about a quarter of a minute. Nothing of it outlives {@link Ceph.end}; without that call its processes do.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { S3Client } from "../../src/tiers/s3/s3-client.ts";
import { S3Location, type S3Credentials } from "../../src/tiers/s3/s3-options.ts";
import { bytesSource } from "../../src/tiers/store.ts";
import { removeScratch, scratchFolder, succeed } from "./daemon-process.ts";

/** Programs that must be there. */
export const CEPH_TOOLS = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"] as const;

/** The gateway makes its pools before it serves; a busy machine takes its time. */
const START_MS_MAX = 180_000;
const POLL_MS = 100;

export interface Ceph extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  makeBucket(bucket: string, options?: { lock?: boolean }): Promise<void>;
  /** SIGKILL, as a machine that lost its power: the objects stay. The next bucket is then made only after half a minute of waiting for the dead one. */
  stopGateway(): Promise<void>;
  /** At the same address; resolves when it serves. */
  startGateway(): Promise<void>;
  /** Ends every process and removes the folder. */
  end(): Promise<void>;
}

/** @throws with the end of the logs, when it does not come up */
export async function startCeph(): Promise<Ceph> {
  const cluster = new Cluster(scratchFolder(), await freePorts(2));
  try {
    await cluster.start();
  } catch (error) {
    const logs = cluster.lastWords();
    await cluster.end();
    throw new Error(`Ceph did not start:\n${logs}`, { cause: error });
  }
  return cluster;
}

type Daemon = Bun.Subprocess<"ignore", "ignore", "ignore">;

class Cluster implements Ceph {
  readonly endpoint: string;
  readonly region = "default";
  readonly credentials: S3Credentials = { accessKeyId: "CEPHTESTKEY", secretAccessKey: "of+the/test only" };
  private readonly folder: string;
  private readonly monitorPort: number;
  private readonly gatewayPort: number;
  /** In the order of their start. */
  private readonly daemons: Daemon[] = [];
  private gateway: Daemon | undefined;
  private readonly conf: string;

  constructor(folder: string, [monitorPort = 0, gatewayPort = 0]: readonly number[]) {
    this.folder = folder;
    this.conf = join(folder, "ceph.conf");
    this.monitorPort = monitorPort;
    this.gatewayPort = gatewayPort;
    this.endpoint = `http://127.0.0.1:${gatewayPort}`;
  }

  async start(): Promise<void> {
    const fsid = crypto.randomUUID();
    const monitorAddress = `v1:127.0.0.1:${this.monitorPort}`;
    const map = join(this.folder, "monmap");
    for (const dir of ["mon", "osd", "rgw"]) mkdirSync(join(this.folder, dir));
    writeFileSync(this.conf, configuration(this.folder, fsid, monitorAddress, this.gatewayPort));
    await succeed(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", `[${monitorAddress}]`, map]);
    await this.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map);
    this.daemons.push(this.spawn("ceph-mon", "-i", "a", "-f"));
    await this.run("ceph", "--connect-timeout", "30", "-s");
    const osdId = crypto.randomUUID();
    await this.run("ceph", "osd", "new", osdId);
    await this.run("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=test");
    await this.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osdId);
    this.daemons.push(this.spawn("ceph-osd", "-i", "0", "-f"));
    await this.startGateway();
    const { accessKeyId, secretAccessKey } = this.credentials;
    const key = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
    await this.run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", ...key);
  }

  async makeBucket(bucket: string, { lock = false }: { lock?: boolean } = {}): Promise<void> {
    const { endpoint, region, credentials } = this;
    const options = { endpoint, region, bucket, prefix: "", credentials, clock: systemClock };
    const request = {
      kind: "put" as const,
      method: "PUT" as const,
      address: new S3Location(options).bucket(),
      what: `making ${bucket}`,
      headers: lock ? { "x-amz-bucket-object-lock-enabled": "true" } : {},
      body: bytesSource(new Uint8Array(0)),
      expected: [200],
    };
    await new S3Client(options, this.endpoint).send(request, (answer) => answer.text(65_536));
  }

  async stopGateway(): Promise<void> {
    await endProcess(this.gateway);
    this.gateway = undefined;
  }

  async startGateway(): Promise<void> {
    const gateway = this.spawn("radosgw", "-n", "client.rgw", "-f");
    this.gateway = gateway;
    const until = performance.now() + START_MS_MAX;
    while (!(await this.isServing())) {
      const ended = [...this.daemons, gateway].find(
        ({ exitCode, signalCode }) => exitCode !== null || signalCode !== null,
      );
      if (ended) throw new Error(`a server of Ceph ended with ${ended.exitCode ?? ended.signalCode}`);
      if (performance.now() > until) throw new Error(`radosgw does not serve after ${START_MS_MAX} ms`);
      await Bun.sleep(POLL_MS);
    }
  }

  async end(): Promise<void> {
    await this.stopGateway();
    // The object server before the monitor that it talks to.
    for (const daemon of this.daemons.splice(0).reverse()) await endProcess(daemon);
    removeScratch(this.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  /** The ends of the logs. */
  lastWords(): string {
    return [...new Bun.Glob("*.log").scanSync({ cwd: this.folder })]
      .map((name) => `${name}: ${readFileSync(join(this.folder, name), "utf8").slice(-1000)}`)
      .join("\n");
  }

  private async isServing(): Promise<boolean> {
    try {
      await (await fetch(this.endpoint, { signal: AbortSignal.timeout(2000) })).text();
      return true;
    } catch {
      return false;
    }
  }

  private spawn(program: string, ...words: string[]): Daemon {
    return Bun.spawn([program, "-c", this.conf, ...words], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  }

  private async run(program: string, ...words: string[]): Promise<void> {
    await succeed(["timeout", "60", program, "-c", this.conf, ...words]);
  }
}

async function endProcess(daemon: Daemon | undefined): Promise<void> {
  daemon?.kill("SIGKILL");
  await daemon?.exited;
}

function configuration(folder: string, fsid: string, monitorAddress: string, gatewayPort: number): string {
  const options: Record<string, string> = {
    fsid,
    "mon host": monitorAddress,
    "mon initial members": "a",
    "public addr": "127.0.0.1",
    "cluster addr": "127.0.0.1",
    "auth cluster required": "none",
    "auth service required": "none",
    "auth client required": "none",
    // One object server, so one copy; few placement groups start faster.
    "osd pool default size": "1",
    "osd pool default min size": "1",
    "osd pool default pg num": "8",
    "osd pool default pgp num": "8",
    "osd crush chooseleaf type": "0",
    "mon allow pool size one": "true",
    "mon max pg per osd": "2000",
    "ms bind msgr2": "false",
    "ms bind ipv6": "false",
    "run dir": folder,
    "admin socket": `${folder}/$name.asok`,
    "pid file": `${folder}/$name.pid`,
    "log file": `${folder}/$name.log`,
    keyring: `${folder}/keyring`,
    "mon data": `${folder}/mon`,
    // Monitors stop when their disk is nearly full, and a test's scratch folder may be on one that is.
    "mon data avail crit": "1",
    "mon data avail warn": "1",
    "osd data": `${folder}/osd`,
    // Both ask the monitor for the object server by an id that a store in memory does not always keep, and end the server when it has another one.
    "osd class update on start": "false",
    "osd crush update on start": "false",
    "osd objectstore": "memstore",
    "memstore device bytes": String(4 * 2 ** 30),
    "rgw data": `${folder}/rgw`,
    "rgw frontends": `beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1`,
  };
  return `[global]\n${Object.entries(options)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("")}`;
}

/** Free a moment ago: another program may still take one before it is used. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map((server) => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * A bare Debian 12 in a folder: what a newcomer's machine has right after its installation, and nothing else. Commands run
 * in it in mount and process namespaces of their own, so that nothing they start or mount outlives them.
 *
 * How this machine reaches its Debian mirror and npm registry (sources, Acquire settings, certificates, .npmrc, proxy
 * variables) is copied in at run time, so that no host is named here.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const PATH_INSIDE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Variables that say how the network is reached; everything else of this process stays outside. */
const NETWORK_VARIABLES =
  /^(https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|npm_config_(registry|cafile))$/i;
/** Files that say the same. The list of `npm config ls` would need npm, which the bare machine has not. */
const NETWORK_FILES = [
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/npmrc",
  "/usr/etc/npmrc",
  "/etc/ssl/certs",
  "/usr/local/share/ca-certificates",
];

export interface RunOptions {
  /** Default root. */
  user?: string;
  /** False cuts the network off. Default true. */
  network?: boolean;
  /** Default `/`. */
  cwd?: string;
  /** Called for each piece of output; returning true ends the command. */
  until?: (output: string) => boolean;
}

export interface RunResult {
  code: number;
  /** Standard output and error, as they came. */
  output: string;
  /** From the start to the first piece of output. */
  firstOutputMs: number;
  elapsedMs: number;
}

async function must(command: string[], input?: string): Promise<string> {
  const child = Bun.spawn(command, {
    stdin: input === undefined ? "ignore" : new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed: ${err.slice(-2000)}`);
  return out;
}

export class BareMachine implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Builds one with mmdebstrap; takes about a minute. */
  static async create(packages: readonly string[]): Promise<BareMachine> {
    const scratch = mkdtempSync(join(tmpdir(), "sternway-bare-"));
    const folder = join(scratch, "root");
    const machine = new BareMachine(folder);
    try {
      await machine.build(packages, scratch);
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  private async build(packages: readonly string[], scratch: string): Promise<void> {
    const folder = this.folder;
    const settings = (await must(["apt-config", "dump", "Acquire"]))
      .split("\n")
      .filter((line) => /^Acquire::(https?|ftp|Check-|Retries)[^ ]* "/.test(line));
    const options = join(scratch, "apt.conf");
    writeFileSync(options, `${settings.join("\n")}\n`);
    const sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].filter((path) =>
      existsSync(path),
    );
    await must([
      "mmdebstrap",
      "--variant=minbase",
      "--mode=root",
      `--include=${packages.join(",")}`,
      `--aptopt=${options}`,
      "bookworm",
      folder,
      ...sources,
    ]);
    for (const path of NETWORK_FILES) {
      if (!existsSync(path)) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      // Links are followed, and those that are in the way replaced: the certificates lie behind links on either side.
      await must(["cp", "-rLT", "--remove-destination", path, join(folder, path)]);
    }
    const npmrc = join(process.env["HOME"] ?? "/root", ".npmrc");
    if (existsSync(npmrc)) cpSync(npmrc, join(folder, "root/.npmrc"));
  }

  /** Lays down what a clone of this checkout's working tree would hold, owned by `user`. */
  async placeCheckout(checkout: string, inside: string, user = "root"): Promise<void> {
    const files = await must(["git", "-C", checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    const present = files.split("\0").filter((file) => file !== "" && existsSync(resolve(checkout, file)));
    const target = join(this.folder, inside);
    mkdirSync(target, { recursive: true });
    const archive = join(dirname(this.folder), "checkout.tar");
    await must(["tar", "-C", checkout, "--null", "-T", "-", "-cf", archive], present.join("\0"));
    await must(["tar", "-C", target, "--no-same-owner", "-xf", archive]);
    await must(["chroot", this.folder, "chown", "-R", user, inside]);
  }

  /** Runs a shell command line inside. Never throws for its exit code. */
  async run(script: string, options: RunOptions = {}): Promise<RunResult> {
    const { user = "root", network = true, cwd = "/", until } = options;
    const outside = [
      // A root that is a mount of its own: a chroot's is not in the list of mounts, which tools like df miss.
      'mount --bind "$1" "$1"',
      'mount -t proc proc "$1/proc"',
      'mount --rbind /dev "$1/dev"',
      'mount --rbind /sys "$1/sys"',
      // A new network namespace has its loopback down; a machine without a network has it up.
      network ? ":" : "ip link set lo up 2>/dev/null || :",
      'cd "$1"',
      "pivot_root . mnt",
      "umount -l /mnt",
      'exec chroot --userspec="$2" / /bin/bash -c "cd $3 && $4"',
    ].join(" && ");
    const env: Record<string, string> = {
      PATH: PATH_INSIDE,
      HOME: user === "root" ? "/root" : `/home/${user}`,
      LANG: "C.UTF-8",
    };
    for (const [name, value] of Object.entries(process.env)) {
      if (NETWORK_VARIABLES.test(name) && value !== undefined) env[name] = value;
    }
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", ...(network ? [] : ["--net"])];
    const started = performance.now();
    const child = Bun.spawn(
      ["unshare", ...namespaces, "sh", "-c", `${outside} 2>&1`, "sh", this.folder, user, cwd, script],
      {
        env,
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    let output = "";
    let firstOutputMs = Number.POSITIVE_INFINITY;
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      firstOutputMs = Math.min(firstOutputMs, performance.now() - started);
      output += decoder.decode(chunk, { stream: true });
      if (until?.(output) === true) {
        // The namespace's first process takes everything inside with it.
        child.kill("SIGKILL");
        break;
      }
    }
    const code = await child.exited;
    return { code, output, firstOutputMs, elapsedMs: performance.now() - started };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(dirname(this.folder), { recursive: true, force: true });
    await Promise.resolve();
  }
}

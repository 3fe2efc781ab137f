/**
 * Checks the structure that src/ARCHITECTURE.md draws, on every file under src/:
 *
 * 1. Floors. A room imports only from lower floors, so rooms on one floor never know each other. Type-only imports count
 *    too: they are how two rooms begin to depend on each other's insides, and the linter's no-cycle does not see them.
 * 2. Doors. Across rooms, only a room's door files are imported. All of base/ and contract/ is door.
 * 3. Ambience. On floors 0 to 4, time, randomness and files come in through base/ alone, so that a simulated clock, seed
 *    and disk own them. The few files that must touch the machine are listed with their reason.
 * 4. A room that is in neither table is reported: it would otherwise be checked against nothing.
 *
 * Prints one line per finding and exits with 1 if there is any.
 */
import { relative, resolve, dirname } from "node:path";

const root = resolve(import.meta.dir, "..");

/** Floor of each room; lower knows nothing of higher. */
const FLOORS: Record<string, number> = {
  base: 0,
  config: 1,
  observe: 1,
  security: 1,
  nbd: 1,
  contract: 1,
  journal: 2,
  tiers: 2,
  catalog: 2,
  audit: 2,
  access: 3,
  vault: 3,
  volume: 4,
  sources: 5,
  restore: 5,
  replication: 5,
  retention: 5,
  signals: 5,
  notify: 5,
  report: 5,
  automation: 5,
  api: 6,
  cli: 6,
  web: 6,
  daemon: 7,
};

/** Files that other rooms may import; `*` for a room that is nothing but doors. */
const DOORS: Record<string, readonly string[]> = {
  base: ["*"],
  contract: ["*"],
  observe: ["log.ts", "metrics.ts"],
  config: ["config.ts"],
  nbd: ["server.ts", "client.ts", "protocol.ts"],
  journal: ["journal.ts", "format.ts", "recover.ts", "scan.ts", "slots.ts"],
  security: ["cipher.ts", "keys.ts", "secret.ts", "core-dumps.ts", "peer-token.ts", "certificate.ts"],
  tiers: [
    "store.ts",
    "tier.ts",
    "tier-url.ts",
    "bandwidth.ts",
    "schedule.ts",
    "object-name.ts",
    "directory/directory-store.ts",
    "share/share-store.ts",
    "s3/s3-store.ts",
    "s3/s3-options.ts",
    "peer/peer-store.ts",
  ],
  replication: ["replication.ts", "arrival.ts", "follower.ts"],
  catalog: ["catalog.ts"],
  vault: [
    "vault.ts",
    "open-vault.ts",
    "identity.ts",
    "manifest.ts",
    "sealed-files.ts",
    "vault-keys.ts",
    "registry.ts",
    "needs.ts",
    "time-ledger.ts",
    "map.ts",
    "chronicles/history.ts",
    "content/content-survey.ts",
    "sealing/sealer-worker.ts",
    "scrubbing/scrub.ts",
    "checking/check.ts",
  ],
  volume: ["volumes.ts", "retention.ts", "volume-set.ts", "vault-volumes.ts", "moment.ts", "export-name.ts"],
  retention: ["retention.ts", "policy.ts", "calendar.ts"],
  sources: ["import.ts", "nbd-target.ts"],
  notify: ["notify.ts"],
  report: ["report.ts"],
  automation: ["automation.ts"],
  restore: ["restore.ts", "stream.ts", "nbd-exports.ts"],
  api: ["app.ts", "http-server.ts"],
  cli: ["program.ts"],
  web: ["bundle.ts"],
};

/** Floors from here on may use the machine's clock, timers and files directly. */
const AMBIENT_FLOOR_MIN = 5;

/** Files below that floor which touch the machine, and why each must. */
const AMBIENT_ALLOWED: Record<string, string> = {
  "base/clock.ts": "the real clock",
  "base/random.ts": "the real source of randomness",
  "base/real-disk.ts": "the real disk",
  "base/descriptor.ts": "the real disk's calls",
  "vault/sealing/sealer-thread.ts": "a worker's entry: its thread lowers its own priority",
  "security/core-dumps.ts": "the switch that keeps memory out of core dumps is a file",
  "base/file-lock.ts": "the lock that keeps a second process out of a vault",
};

const AMBIENT: readonly { pattern: RegExp; what: string; instead: string }[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.(?:now|timeOrigin)\b/,
    what: "ambient time",
    instead: "take a Clock",
  },
  { pattern: /\b(?:setTimeout|setInterval|Bun\.sleep(?:Sync)?)\b/, what: "an ambient timer", instead: "take a Clock" },
  {
    pattern: /\bMath\.random\b|\bcrypto\.(?:getRandomValues|randomUUID|randomBytes)\b/,
    what: "ambient randomness",
    instead: "take a Random",
  },
  {
    pattern: /\bfrom\s+["'](?:node:)?(?:fs|fs\/promises|timers|timers\/promises)["']|\bBun\.(?:file|write)\b/,
    what: "ambient files or timers",
    instead: "take a Disk or a Clock",
  },
];

/** Static, type-only and dynamic imports, re-exports, and files that are started as workers. */
const IMPORTS = [
  /\bfrom\s*(["'])(\.[^"']+)\1/g,
  /\bimport\s*(["'])(\.[^"']+)\1/g,
  /\bimport\s*\(\s*(["'])(\.[^"']+)\1/g,
  /\bnew\s+URL\(\s*(["'])(\.[^"']+)\1/g,
];

interface Finding {
  file: string;
  line: number;
  text: string;
}

/** Blanks comments but keeps every line in its place. Good enough here: no source file of ours holds `//` of a URL before an import. */
function withoutComments(source: string): string {
  const blank = (text: string): string => text.replace(/[^\n]/g, " ");
  return source.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(^|[\s;{}(,])\/\/[^\n]*/g, (text) => blank(text));
}

function lineOf(source: string, index: number): number {
  return source.slice(0, index).split("\n").length;
}

/** Checks one file. @param file - relative to src/ */
export function checkFile(file: string, source: string): Finding[] {
  const findings: Finding[] = [];
  const report = (index: number, text: string): void => {
    findings.push({ file: `src/${file}`, line: lineOf(source, index), text });
  };
  const room = file.includes("/") ? file.slice(0, file.indexOf("/")) : "";
  const floor = FLOORS[room];
  if (floor === undefined) {
    report(0, `the room "${room}" has no floor; give it one in scripts/check-rooms.ts and src/ARCHITECTURE.md`);
    return findings;
  }
  const code = withoutComments(source);
  for (const pattern of IMPORTS) {
    for (const match of code.matchAll(pattern))
      checkImport(file, room, floor, match[2] ?? "", (text) => report(match.index, text));
  }
  if (floor < AMBIENT_FLOOR_MIN && AMBIENT_ALLOWED[file] === undefined) {
    for (const { pattern, what, instead } of AMBIENT) {
      const match = pattern.exec(code);
      if (match) report(match.index, `${what} (${match[0].trim()}) on floor ${floor}; ${instead}`);
    }
  }
  return findings;
}

function checkImport(
  file: string,
  room: string,
  floor: number,
  specifier: string,
  report: (text: string) => void,
): void {
  const target = relative("/src", resolve("/src", dirname(file), specifier));
  // A data file or package.json outside src/ belongs to no room.
  if (target.startsWith("..")) return;
  const otherRoom = target.slice(0, Math.max(target.indexOf("/"), 0));
  if (otherRoom === room) return;
  const otherFloor = FLOORS[otherRoom];
  if (otherFloor === undefined) {
    report(`imports ${specifier}, which is in no known room`);
    return;
  }
  if (otherFloor >= floor) {
    report(
      `${room}/ (floor ${floor}) imports ${target} of ${otherRoom}/ (floor ${otherFloor}); only lower floors may be imported`,
    );
    return;
  }
  const doors = DOORS[otherRoom] ?? [`${otherRoom}.ts`];
  if (!doors.includes("*") && !doors.includes(target.slice(otherRoom.length + 1))) {
    report(`imports ${target}, which is not a door of ${otherRoom}/ (its doors: ${doors.join(", ")})`);
  }
}

async function checkAll(): Promise<Finding[]> {
  const findings: Finding[] = [];
  const files = [...new Bun.Glob("**/*.{ts,tsx}").scanSync({ cwd: resolve(root, "src") })].sort();
  for (const file of files) findings.push(...checkFile(file, await Bun.file(resolve(root, "src", file)).text()));
  return findings;
}

if (import.meta.main) {
  const findings = await checkAll();
  for (const { file, line, text } of findings) console.log(`${file}:${line}: ${text}`);
  console.log(findings.length === 0 ? "rooms: floors, doors and ambience hold" : `rooms: ${findings.length} findings`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}

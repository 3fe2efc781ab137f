/** The dashboard that is committed, against the metrics that there are. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createMetrics } from "../../../src/observe/metrics.ts";

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { type: string; uid: string };
  targets?: { expr: string; datasource: { uid: string } }[];
}

const PATH = join(import.meta.dir, "../../../appliance/grafana/sternway.json");
const text = await Bun.file(PATH).text();
const dashboard = JSON.parse(text) as {
  uid: string;
  schemaVersion: number;
  panels: Panel[];
  templating: { list: { name: string; type: string; definition?: string }[] };
};
const charts = dashboard.panels.filter(({ type }) => type !== "row");
const expressions = [
  ...charts.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.templating.list.flatMap(({ definition }) => definition ?? []),
];

/** Names of metrics with the labels that each may have. */
async function known(): Promise<Map<string, Set<string>>> {
  const metrics = createMetrics();
  const one = { vault: "v", tier: "t" };
  const volume = { volume: "w", writes: 1, writtenBytes: 1, clearedBytes: 1, readBytes: 1, flushes: 1 };
  const vault = {
    journalUsedBytes: 1,
    journalSizeBytes: 1,
    sealBacklog: 1,
    storedBytes: 1,
    packCount: 1,
    layerCount: 1,
  };
  metrics.attach({
    volumes: () => [{ name: "w", sizeBytes: 1, lastLsn: 1, lastWriteAgeSeconds: 1, attached: 1 }],
    totals: () => [volume],
    vaults: () => [{ vault: "v", ...vault, quarantinedBlocks: 1, freeBytes: 1, totalBytes: 1, writable: true }],
    tiers: () => [
      { ...one, online: true, lagSeconds: 1, lagBytes: 1, attempts: 1, failures: 1, objectsPut: 1, bytesPut: 1 },
    ],
    nbdSessions: () => 1,
    notifications: () => ({ waiting: 1, failures: 1, sent: 1, givenUp: 1 }),
    lastDone: () => [{ kind: "check", seconds: 1 }],
    spaceLeft: () => [{ vault: "v", daysLeft: 1 }],
  });
  for (const counter of [
    metrics.sealedBytes,
    metrics.duplicateBytes,
    metrics.packBytes,
    metrics.scrubbedBytes,
    metrics.restoredBlocks,
  ])
    counter.inc({ vault: "v" });
  metrics.httpRequests.inc({ method: "GET", status: "200" });
  const found = new Map<string, Set<string>>();
  for (const line of (await metrics.text()).split("\n")) {
    const [, name, labels] = /^(sternway_\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    const set = found.get(name) ?? new Set(["instance", "job"]);
    for (const [, label] of (labels ?? "").matchAll(/(\w+)="/g)) set.add(label!);
    found.set(name, set);
  }
  return found;
}

describe("the Grafana dashboard", () => {
  test("names metrics that there are, by labels that they have", async () => {
    const metrics = await known();
    expect(expressions.length).toBeGreaterThan(25);
    for (const expression of expressions) {
      const named = [...expression.matchAll(/(sternway_\w+)(?:\{([^}]*)\})?/g)];
      expect([expression, named.length]).not.toEqual([expression, 0]);
      for (const [, name, selector] of named) {
        expect([...metrics.keys()]).toContain(name!);
        for (const [, label] of (selector ?? "").matchAll(/(\w+)\s*[=!]/g))
          expect([name, ...metrics.get(name!)!]).toContain(label!);
      }
    }
  });

  test("asks the data source that is chosen, and no other", () => {
    expect(dashboard.templating.list[0]).toMatchObject({ name: "datasource", type: "datasource" });
    for (const { datasource, targets = [] } of charts) {
      expect(datasource).toEqual({ type: "prometheus", uid: "${datasource}" });
      for (const target of targets) expect(target.datasource.uid).toBe("${datasource}");
    }
    expect(text).not.toMatch(/https?:\/\//);
  });

  test("has its rows in order, each panel with a number and a place of its own", () => {
    expect(dashboard.panels.filter(({ type }) => type === "row").map(({ title }) => title)).toEqual([
      "Protection",
      "Tiers",
      "Engine",
      "Space",
      "API and operation",
    ]);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { gridPos, title } of dashboard.panels) {
      expect([title, gridPos.x + gridPos.w]).toEqual([title, Math.min(24, gridPos.x + gridPos.w)]);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`)).toBe(false);
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});

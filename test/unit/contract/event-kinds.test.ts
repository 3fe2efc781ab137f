import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { EVENT_KINDS, EVENT_TOPICS, eventKind } from "../../../src/contract/event-kinds.ts";

const SRC = join(import.meta.dir, "../../../src");

/** An event written as an object, and the ways of those who tell many. */
const TOLD = [
  /level:[^{}]*?\bkind:\s*"([a-z]+(?:-[a-z]+)*)"/g,
  /\btell\(\s*"(?:info|warning|alert)",\s*"([a-z-]+)"/g,
  /\btell\(\s*"([a-z]+(?:-[a-z]+)+)"/g,
];

describe("EVENT_KINDS", () => {
  test("has every kind that the code tells", async () => {
    const told = new Map<string, string>();
    for await (const file of new Glob("**/*.ts").scan(SRC)) {
      const source = await Bun.file(join(SRC, file)).text();
      for (const pattern of TOLD) for (const [, kind] of source.matchAll(pattern)) told.set(kind!, file);
    }
    expect(told.size).toBeGreaterThan(40);
    const missing = [...told]
      .filter(([kind]) => !Object.hasOwn(EVENT_KINDS, kind))
      .map(([kind, file]) => `${kind} (${file})`);
    expect(missing).toEqual([]);
  });

  test("ends each trouble that begins, and begins each that ends", () => {
    const kinds = Object.values(EVENT_KINDS);
    const begun = new Set(kinds.flatMap(({ trouble }) => trouble ?? []));
    const ended = new Set(kinds.flatMap(({ ends }) => ends ?? []));
    expect([...begun].toSorted()).toEqual([...ended].toSorted());
    for (const { trouble, ends } of kinds) expect(trouble !== undefined && ends !== undefined).toBe(false);
  });

  test("says what to do about everything that is worse than a warning", () => {
    for (const [kind, { level, todo, title, topic }] of Object.entries(EVENT_KINDS)) {
      expect(EVENT_TOPICS).toContain(topic);
      expect([kind, title]).not.toEqual([kind, ""]);
      if (level === "alert") expect([kind, todo]).not.toEqual([kind, ""]);
    }
  });

  test("of a kind that it lacks has its own words", () => {
    expect(eventKind("some-thing", "alert")).toMatchObject({ title: "some thing", level: "alert" });
    expect(eventKind("constructor", "info").title).toBe("constructor");
  });
});

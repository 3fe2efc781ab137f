import { describe, expect, test } from "bun:test";
import { ROLES } from "../../../src/contract/rights.ts";
import { isWithin, navigationFor } from "../../../src/web/console/navigation.ts";
import { matchPath, pathWith } from "../../../src/web/console/paths.ts";

describe("matchPath()", () => {
  test("gives the parts that a pattern names, decoded", () => {
    expect(matchPath("/", "/")).toEqual({});
    expect(matchPath("/volumes/:name", "/volumes/web1")).toEqual({ name: "web1" });
    expect(matchPath("/volumes/:name/manage", "/volumes/a%20b/manage")).toEqual({ name: "a b" });
    expect(matchPath("/volumes", "/volumes/")).toEqual({});
  });
  test("fits nothing else", () => {
    for (const path of ["/volumes", "/volumes//", "/volumes/a/b", "/volume/a", "/volumes/%E0%A4%A", ""]) {
      expect({ path, found: matchPath("/volumes/:name", path) }).toEqual({ path, found: undefined });
    }
  });
});

test("pathWith() leaves out what is not given and encodes the rest", () => {
  expect(pathWith("/restore", { volume: "web1", at: undefined, machine: "" })).toBe("/restore?volume=web1");
  expect(pathWith("/restore", { at: "2026-01-01T00:00:00+01:00" })).toBe(
    "/restore?at=2026-01-01T00%3A00%3A00%2B01%3A00",
  );
  expect(pathWith("/jobs", {})).toBe("/jobs");
});

describe("navigationFor()", () => {
  const paths = (role: (typeof ROLES)[number]): string[] =>
    navigationFor(role).flatMap((group) => group.items.map((item) => item.path));

  test("shows an administrator everything", () => {
    expect(paths("administrator")).toEqual(
      expect.arrayContaining(["/volumes", "/vaults", "/tiers", "/accounts", "/audit", "/notifications", "/settings"]),
    );
  });
  test("shows nobody else accounts or notifications", () => {
    for (const role of ROLES.filter((each) => each !== "administrator")) {
      expect(paths(role)).not.toContain("/accounts");
      expect(paths(role)).not.toContain("/notifications");
    }
  });
  test("shows the audit and reports to auditors, and not to operators", () => {
    expect(paths("auditor")).toEqual(expect.arrayContaining(["/audit", "/reports"]));
    expect(paths("operator")).not.toContain("/audit");
  });
  test("shows somebody of self-service what is theirs and nothing of the appliance", () => {
    const seen = paths("self-service");
    expect(seen).toEqual(expect.arrayContaining(["/machines", "/volumes", "/tokens"]));
    for (const path of ["/vaults", "/tiers", "/jobs", "/events", "/retention", "/schedules"]) {
      expect(seen).not.toContain(path);
    }
  });
});

test("isWithin() marks a place and what lies below it", () => {
  expect(isWithin("/", "/")).toBe(true);
  expect(isWithin("/", "/volumes")).toBe(false);
  expect(isWithin("/volumes", "/volumes/web1")).toBe(true);
  expect(isWithin("/volumes", "/volumes-of-others")).toBe(false);
});

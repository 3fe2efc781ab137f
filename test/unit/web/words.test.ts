import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { errorOfProblem, problemOf } from "../../../src/contract/problem.ts";
import { actionWords } from "../../../src/web/console/action-words.ts";
import { passwordTrouble } from "../../../src/web/console/passwords.ts";
import { readSize } from "../../../src/web/console/sizes.ts";
import {
  ageSeconds,
  ago,
  listed,
  localTime,
  percent,
  plural,
  sentence,
  spell,
  troubleOf,
} from "../../../src/web/console/words.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");

describe("spell()", () => {
  const cases: [number, string][] = [
    [0, "0 s"],
    [0.04, "0.1 s"],
    [0.44, "0.4 s"],
    [42.4, "42 s"],
    [61, "1 min"],
    [3600, "1 h"],
    [3600 * 3 + 60 * 20, "3 h 20 min"],
    [3600 * 2 - 1, "2 h"],
    [86_400, "1 day"],
    [86_400 * 6, "6 days"],
    [86_400 * 426, "14 months"],
    [86_400 * 365.25 * 3, "3 years"],
    [Number.NaN, "unknown"],
    [-1, "unknown"],
  ];
  for (const [seconds, words] of cases)
    test(`says ${seconds} s as "${words}"`, () => expect(spell(seconds)).toBe(words));
});

describe("ago()", () => {
  test("says the past, the future and the present", () => {
    expect(ago("2026-11-21T11:55:00Z", NOW)).toBe("5 min ago");
    expect(ago("2026-11-21T15:00:00Z", NOW)).toBe("in 3 h");
    expect(ago("2026-11-21T11:59:59.5Z", NOW)).toBe("just now");
  });
  test("does not make up a time for what is none", () => {
    expect(ago("yesterday", NOW)).toBe("at an unknown time");
    expect(ageSeconds("yesterday", NOW)).toBe(0);
  });
});

describe("localTime()", () => {
  test("names the zone, which changes with summer time", () => {
    expect(localTime("2026-11-21T10:16:49.5Z", "Europe/Berlin")).toMatch(/21 Nov 2026.*11:16:49.*(CET|GMT\+1)/);
    expect(localTime("2026-07-01T10:16:49Z", "Europe/Berlin")).toMatch(/1 Jul 2026.*12:16:49.*(CEST|GMT\+2)/);
  });
  test("gives back what it cannot read", () => expect(localTime("never")).toBe("never"));
});

test("listed() joins names, and counts the rest of many", () => {
  expect(listed([])).toBe("");
  expect(listed(["a"])).toBe("a");
  expect(listed(["a", "b"])).toBe("a and b");
  expect(listed(["a", "b", "c"])).toBe("a, b and c");
  expect(listed(["a", "b", "c", "d"], 3)).toBe("a, b and 2 more");
});

test("plural(), percent() and sentence() hold at their edges", () => {
  expect(plural(1, "volume")).toBe("1 volume");
  expect(plural(1204, "write")).toBe("1,204 writes");
  expect(percent(1, 0)).toBe(0);
  expect(percent(3, 2)).toBe(100);
  expect(sentence("the disk is full")).toBe("The disk is full.");
  expect(sentence("why?")).toBe("Why?");
  expect(sentence("file:///mnt is offline")).toBe("file:///mnt is offline.");
  expect(sentence("run `sternway check`")).toBe("Run sternway check.");
  expect(sentence(" ")).toBe("");
});

test("troubleOf() gives an error's words and what to do, and no stack", () => {
  const told = troubleOf(new SternwayError("conflict", "web1 is attached", { todo: "Disconnect it." }));
  expect(told).toEqual({ message: "web1 is attached.", todo: "Disconnect it." });
  expect(troubleOf("x")).toEqual({ message: "Something went wrong.", todo: undefined });
});

test("troubleOf() gives people no advice that is for programs", () => {
  const kinds = ["invalid", "not_found", "conflict", "unavailable", "corrupt", "fenced", "denied", "internal"] as const;
  const problems = kinds.map((kind) => problemOf(new SternwayError(kind, "it is so")));
  const unauthorized = problemOf(new SternwayError("denied", "the password is wrong", { status: 401 }));
  const tooMany = problemOf(new SternwayError("denied", "try again in 5 s", { status: 429 }));
  for (const problem of [...problems, unauthorized, tooMany]) {
    const { todo } = troubleOf(errorOfProblem(problem));
    expect(todo ?? "").not.toMatch(/\/v1|openapi|Bearer|the detail|request|force/);
  }
  expect(troubleOf(errorOfProblem(unauthorized)).todo).toBeUndefined();
});

describe("readSize()", () => {
  test("reads sizes as people write them, in whole sectors", () => {
    expect(readSize("20 GiB").bytes).toBe(20 * 2 ** 30);
    expect(readSize("1.5T").bytes).toBe(1.5 * 2 ** 40);
    expect(readSize("1000").bytes).toBe(1024);
  });
  test("says what is wrong with others, and nothing of an empty field", () => {
    expect(readSize("")).toEqual({ bytes: undefined, error: undefined });
    for (const wrong of ["much", "0", "17T", "-1G"]) {
      const { bytes, error } = readSize(wrong);
      expect({ wrong, bytes, said: (error ?? "").length > 10 }).toEqual({ wrong, bytes: undefined, said: true });
    }
  });
});

test("passwordTrouble() asks for length and variety", () => {
  expect(passwordTrouble("short")).toContain("5 more characters");
  expect(passwordTrouble("123456789")).toContain("1 more character,");
  expect(passwordTrouble("aaaaaaaaaaaa")).toContain("Too few");
  expect(passwordTrouble("x".repeat(257))).toContain("256");
  expect(passwordTrouble("correct horse")).toBeUndefined();
});

test("actionWords() spells operations out", () => {
  expect(actionWords("rollbackVolume")).toBe("roll back volume");
  expect(actionWords("nbd-attach")).toBe("nbd attach");
});

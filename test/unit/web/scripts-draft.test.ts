import { expect, test } from "bun:test";
import { draftOf, scriptsOf } from "../../../src/web/console/scripts-draft.ts";

const SCRIPTS = { pre: "freeze", post: "thaw", timeoutSeconds: 30, ifPreFails: "crash-consistent" } as const;

test("what a machine has comes back as it was, and what it lacks is left out", () => {
  expect(scriptsOf(draftOf(SCRIPTS))).toEqual(SCRIPTS);
  expect(scriptsOf(draftOf(undefined))).toBeNull();
  const draft = { ...draftOf(undefined), post: "thaw" };
  expect(scriptsOf(draft)).toEqual({ post: "thaw", timeoutSeconds: 60, ifPreFails: "no-bookmark" });
});

test("a time limit that is none is none, but nothing needs one where nothing runs", () => {
  for (const seconds of ["", " ", "0", "601", "1.5", "ten", "-1"]) {
    expect(scriptsOf({ ...draftOf(SCRIPTS), seconds })).toBeUndefined();
    expect(scriptsOf({ ...draftOf(undefined), seconds })).toBeNull();
  }
  expect(scriptsOf({ ...draftOf(SCRIPTS), seconds: " 600 " })).toMatchObject({ timeoutSeconds: 600 });
});

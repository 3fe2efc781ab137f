import { expect, test } from "bun:test";
import { localUsers } from "../../../src/daemon/local-users.ts";

const WHOLE = "         0          0 4294967295\n";
const PARTIAL = "         0     100000      65536\n";

test("every disk is open to root and the process's own user", () => {
  const users = localUsers(WHOLE);
  expect(users.isOwner(0)).toBe(true);
  expect(users.isOwner(process.getuid!())).toBe(true);
  expect(users.isOwner(1_234_567)).toBe(false);
  expect([users.nameOf(0), users.nameOf(1_234_567)]).toEqual(["root", undefined]);
});

test("a user is found by name and by number, and a number without an entry stands for itself", async () => {
  const users = localUsers(WHOLE);
  const daemon = await users.find("daemon");
  expect(daemon).toEqual({ uid: expect.any(Number), user: "daemon" });
  expect(await users.find(String(daemon.uid))).toEqual(daemon);
  expect(await users.find("3999999999")).toEqual({ uid: 3_999_999_999, user: "3999999999" });
});

test("whoever needs no credential, is nobody or is out of range gets none", async () => {
  const users = localUsers(WHOLE);
  for (const text of ["root", "0", "00"]) await expect(users.find(text)).rejects.toMatchObject({ kind: "invalid" });
  await expect(users.find("no-such-user-here")).rejects.toMatchObject({ kind: "not_found" });
  for (const text of ["4294967295", "99999999999999999999"])
    await expect(users.find(text)).rejects.toMatchObject({ kind: "invalid" });
});

test("where not every user is mapped, the number that stands for all the others gets no right", async () => {
  expect(localUsers(WHOLE).isAmbiguous(65_534)).toBe(false);
  const inside = localUsers(PARTIAL);
  expect([inside.isAmbiguous(65_534), inside.isAmbiguous(65_533)]).toEqual([true, false]);
  await expect(inside.find("65534")).rejects.toMatchObject({ kind: "invalid" });
  expect(localUsers("0 0 65534\n65534 65534 4294901761\n").isAmbiguous(65_534)).toBe(false);
});

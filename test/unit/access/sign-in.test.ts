import { describe, expect, spyOn, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import { browser, failure, FROM, openAccessBed, PASSWORD, signingIn, type AccessBed } from "./access-bed.ts";

async function withAnna(options: Parameters<typeof openAccessBed>[0] = {}): Promise<AccessBed> {
  const bed = await openAccessBed(options);
  await bed.access.accounts.add({ name: "anna", role: "administrator", machines: [], password: PASSWORD });
  return bed;
}

const codeAt = (secret: string, timestamp: number): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp });

/** Gives anna a second factor. */
function enrol({ access, nowMs }: AccessBed): { secret: string; recoveryCodes: string[] } {
  const { secret } = access.beginSecondFactor(access.accounts.get("anna"));
  return { secret, recoveryCodes: access.secondFactor.confirm(access.accounts.get("anna"), codeAt(secret, nowMs())) };
}

describe("setUp()", () => {
  test("needs the code, makes an administrator, and is over then", async () => {
    using bed = await openAccessBed();
    const { access } = bed;
    const code = access.setupCode!;
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    const wish = { name: "Anna", password: PASSWORD, from: FROM };
    expect(await failure(access.setUp({ ...wish, code: "0000-0000-0000" }))).toMatchObject({ kind: "denied" });
    expect(await failure(access.setUp({ ...wish, code: "" }))).toMatchObject({ kind: "denied" });
    expect(access.isSetUp).toBe(false);
    expect(await access.setUp({ ...wish, code: ` ${code.toLowerCase().replaceAll("-", " ")}` })).toMatchObject({
      name: "anna",
      role: "administrator",
    });
    expect(access.setupCode).toBeUndefined();
    expect(await failure(access.setUp({ ...wish, name: "eve", code }))).toMatchObject({ kind: "conflict" });
    expect(bed.logged.join("")).not.toContain(code);
  });

  test("two at once: one wins", async () => {
    using bed = await openAccessBed();
    const { access } = bed;
    const wish = { code: access.setupCode!, password: PASSWORD, from: FROM };
    const done = await Promise.allSettled([
      access.setUp({ ...wish, name: "anna" }),
      access.setUp({ ...wish, name: "eve" }),
    ]);
    expect(done.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(access.accounts.list()).toHaveLength(1);
  });

  test("replaces a code that was guessed at, and makes guessers wait", async () => {
    using bed = await openAccessBed();
    const { access } = bed;
    const code = access.setupCode!;
    const guess = { code: "AAAA-AAAA-AAAA", name: "eve", password: PASSWORD, from: FROM };
    let refusals = 0;
    for (let i = 0; i < 60 && access.setupCode === code; i++) {
      const error = await failure(access.setUp(guess));
      expect(error).toMatchObject({ kind: "denied" });
      if ((error as { facts: Record<string, unknown> }).facts["status"] === 429) bed.pass(900);
      else refusals++;
    }
    expect(refusals).toBe(10);
    bed.pass(900);
    expect(await failure(access.setUp({ ...guess, code }))).toMatchObject({ kind: "denied" });
  });

  test("shows another code after each start", async () => {
    using bed = await openAccessBed();
    expect((await bed.restart()).setupCode).not.toBe(bed.access.setupCode);
  });
});

describe("signIn()", () => {
  test("lets the right password in, and says nothing about what is wrong otherwise", async () => {
    using bed = await withAnna();
    const { account, session } = await bed.access.signIn(signingIn(" ANNA "));
    expect(account.name).toBe("anna");
    expect(session.cookie).toMatch(/^sternway=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    const wrong = await failure(bed.access.signIn(signingIn("anna", "wrong password!")));
    const unknown = await failure(bed.access.signIn(signingIn("nobody", "wrong password!")));
    expect(wrong).toMatchObject({ kind: "denied", facts: { status: 401 } });
    expect(unknown).toEqual(wrong);
    expect(await failure(bed.access.signIn(signingIn("anna", "")))).toEqual(wrong);
  });

  test("does the same work for names that do not exist", async () => {
    using bed = await withAnna();
    const verify = spyOn(Bun.password, "verify");
    try {
      await failure(bed.access.signIn(signingIn("anna", "wrong password!")));
      await failure(bed.access.signIn(signingIn("nobody", "wrong password!")));
      await failure(bed.access.signIn(signingIn("nobody", "")));
      const costs = verify.mock.calls.map(([, hash]) => (hash as string).split("$").slice(0, 4).join("$"));
      expect(costs).toEqual(Array(3).fill("$argon2id$v=19$m=8,t=1,p=1"));
    } finally {
      verify.mockRestore();
    }
  });

  test("makes whoever is wrong wait, longer each time, whether the name exists or not", async () => {
    using bed = await withAnna();
    const waits = async (name: string, from: string): Promise<unknown[]> => {
      const seen: unknown[] = [];
      for (let i = 0; i < 8; i++) {
        await failure(bed.access.signIn(signingIn(name, "wrong password!", undefined, from)));
        const next = await failure(bed.access.signIn(signingIn(name, "wrong password!", undefined, from)));
        const seconds = (next as { facts: Record<string, number> }).facts["retryAfterSeconds"];
        seen.push(seconds);
        bed.pass(seconds ?? 0);
      }
      return seen;
    };
    const known = await waits("anna", "192.0.2.1");
    expect(known.filter((seconds) => seconds !== undefined)).toEqual([5, 10, 20, 40, 80, 160]);
    expect(await waits("nobody", "192.0.2.2")).toEqual(known);
    expect(bed.events.map(({ kind, subject }) => [kind, subject])).toEqual([
      ["sign-in-paused", "anna"],
      ["sign-in-paused", "192.0.2.2"],
    ]);
  });

  test("refuses the right password during a pause, and takes it after", async () => {
    using bed = await withAnna();
    for (let i = 0; i < 5; i++) await failure(bed.access.signIn(signingIn("anna", "wrong password!")));
    expect(await failure(bed.access.signIn(signingIn("anna")))).toMatchObject({ facts: { status: 429 } });
    bed.pass(6);
    expect((await bed.access.signIn(signingIn("anna"))).account.failedCount).toBe(0);
  });

  test("keeps an account's pause over a restart without telling that there is such an account", async () => {
    using bed = await withAnna();
    for (let i = 0; i < 12; i++) {
      await failure(bed.access.signIn(signingIn("anna", "wrong password!")));
      bed.pass(i < 11 ? 900 : 0);
    }
    const access = await bed.restart();
    const error = await failure(access.signIn(signingIn("anna")));
    expect(error).toEqual(await failure(access.signIn(signingIn("nobody"))));
    expect(access.pausedUntil(access.accounts.get("anna"))).toBeGreaterThan(0);
    access.signing.unlock("anna");
    expect(await access.signIn(signingIn("anna"))).toMatchObject({ account: { name: "anna" } });
  });

  test("a hundred guesses at once are not a hundred guesses", async () => {
    using bed = await withAnna();
    const verify = spyOn(Bun.password, "verify");
    try {
      await Promise.allSettled(
        Array.from({ length: 100 }, (_, i) => bed.access.signIn(signingIn("anna", `wrong password ${i}`))),
      );
      expect(verify.mock.calls.length).toBe(5);
    } finally {
      verify.mockRestore();
    }
  });

  test("makes an address wait that tries many names, and others not", async () => {
    using bed = await withAnna();
    for (let i = 0; i < 17; i++) await failure(bed.access.signIn(signingIn(`name${i}`, "wrong password!")));
    expect(await failure(bed.access.signIn(signingIn("anna")))).toMatchObject({ facts: { status: 429 } });
    const elsewhere = signingIn("anna", PASSWORD, undefined, "192.0.2.8");
    expect(await bed.access.signIn(elsewhere)).toMatchObject({ account: { name: "anna" } });
  });

  test("an account of one's own does not give free guesses at others'", async () => {
    using bed = await withAnna();
    await bed.access.accounts.add({ name: "eve", role: "auditor", machines: [], password: PASSWORD });
    for (let i = 0; i < 17; i++) {
      await failure(bed.access.signIn(signingIn(`name${i}`, "wrong password!")));
      if (i < 16) await bed.access.signIn(signingIn("eve"));
    }
    expect(await failure(bed.access.signIn(signingIn("eve")))).toMatchObject({ facts: { status: 429 } });
  });

  test("a password that is changed while the old one is being checked lets nobody in", async () => {
    using bed = await withAnna();
    const asked = bed.access.signIn(signingIn("anna"));
    bed.catalog.accounts.update("anna", { passwordHash: "$argon2id$other" });
    expect(await failure(asked)).toMatchObject({ facts: { status: 401 } });
  });

  test("refuses more than it can hash", async () => {
    using bed = await withAnna();
    const done = await Promise.allSettled(
      Array.from({ length: 40 }, (_, i) => bed.access.signIn(signingIn(`n${i}`, "wrong!", undefined, `10.0.0.${i}`))),
    );
    const kinds = done.map((each) => (each.status === "rejected" ? (each.reason as { kind: string }).kind : "in"));
    expect(kinds.filter((kind) => kind === "unavailable")).toHaveLength(6);
    expect(await bed.access.signIn(signingIn("anna"))).toMatchObject({ account: { name: "anna" } });
  });
});

describe("the second factor", () => {
  test("is asked for after the password, and each code works once", async () => {
    using bed = await withAnna();
    const { secret } = enrol(bed);
    expect(await failure(bed.access.signIn(signingIn("anna")))).toMatchObject({
      facts: { status: 401, needsCode: true },
    });
    expect(await failure(bed.access.signIn(signingIn("anna", "wrong password!")))).not.toMatchObject({
      facts: { needsCode: true },
    });
    // The code that confirmed it is used up too.
    const used = codeAt(secret, bed.nowMs());
    expect(await failure(bed.access.signIn(signingIn("anna", PASSWORD, used)))).toMatchObject({ kind: "denied" });
    bed.pass(60);
    const code = codeAt(secret, bed.nowMs());
    expect(await bed.access.signIn(signingIn("anna", PASSWORD, `${code.slice(0, 3)} ${code.slice(3)}`))).toMatchObject({
      account: { name: "anna" },
    });
    expect(await failure(bed.access.signIn(signingIn("anna", PASSWORD, code)))).toMatchObject({ kind: "denied" });
    // Neither does one from before, which leeway would allow.
    const older = codeAt(secret, bed.nowMs() - 30_000);
    expect(await failure(bed.access.signIn(signingIn("anna", PASSWORD, older)))).toMatchObject({ kind: "denied" });
  });

  test("the same code at once lets one in", async () => {
    using bed = await withAnna();
    const { secret } = enrol(bed);
    bed.pass(60);
    const code = codeAt(secret, bed.nowMs());
    const both = [1, 2].map(() => bed.access.signIn(signingIn("anna", PASSWORD, code)));
    expect((await Promise.allSettled(both)).map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("each recovery code works once", async () => {
    using bed = await withAnna();
    const { recoveryCodes } = enrol(bed);
    expect(new Set(recoveryCodes).size).toBe(10);
    const [first, second] = recoveryCodes as [string, string];
    expect(await bed.access.signIn(signingIn("anna", PASSWORD, first.toLowerCase()))).toBeDefined();
    expect(await failure(bed.access.signIn(signingIn("anna", PASSWORD, first)))).toMatchObject({ kind: "denied" });
    expect(await bed.access.signIn(signingIn("anna", PASSWORD, second))).toBeDefined();
    expect(bed.access.accounts.get("anna").recoveryHashes).toHaveLength(8);
    expect(JSON.stringify(bed.access.accounts.get("anna"))).not.toContain(recoveryCodes[2]!.replaceAll("-", ""));
  });

  test("wrong codes are counted like wrong passwords, and a missing one is not", async () => {
    using bed = await withAnna();
    enrol(bed);
    for (let i = 0; i < 20; i++) await failure(bed.access.signIn(signingIn("anna")));
    for (let i = 0; i < 5; i++) await failure(bed.access.signIn(signingIn("anna", PASSWORD, "000000")));
    expect(await failure(bed.access.signIn(signingIn("anna")))).toMatchObject({ facts: { status: 429 } });
  });

  test("does not count before a code confirmed it, and is not replaced while it is on", async () => {
    using bed = await withAnna();
    const { access } = bed;
    access.beginSecondFactor(access.accounts.get("anna"));
    expect(await access.signIn(signingIn("anna"))).toBeDefined();
    expect(await failure(() => access.secondFactor.confirm(access.accounts.get("anna"), "000000"))).toMatchObject({
      kind: "denied",
    });
    enrol(bed);
    expect(await failure(() => access.beginSecondFactor(access.accounts.get("anna")))).toMatchObject({
      kind: "conflict",
    });
  });

  test("where administrators need one, they get at nothing else without", async () => {
    using bed = await withAnna({ administratorsNeedSecondFactor: true });
    const { access } = bed;
    const { session } = await access.signIn(signingIn("anna"));
    const asked = { method: "GET", headers: browser(session.cookie), secure: false, from: FROM };
    expect(await access.authenticate(asked)).toMatchObject({ principal: { role: "self-service", machines: [] } });
    expect(await failure(() => access.addToken(access.accounts.get("anna"), { name: "t" }))).toMatchObject({
      kind: "denied",
    });
    const { recoveryCodes } = enrol(bed);
    expect(await access.authenticate(asked)).toMatchObject({ principal: { role: "administrator" } });
    const off = access.turnSecondFactorOff("anna", { password: PASSWORD, code: recoveryCodes[0]! }, FROM);
    expect(await failure(off)).toMatchObject({ kind: "conflict" });
  });

  test("is turned off by password and code", async () => {
    using bed = await withAnna();
    const { recoveryCodes } = enrol(bed);
    const off = (password: string, code: string): Promise<void> =>
      bed.access.turnSecondFactorOff("anna", { password, code }, FROM);
    expect(await failure(off("wrong password!", recoveryCodes[0]!))).toMatchObject({ kind: "denied" });
    expect(await failure(off(PASSWORD, "000000"))).toMatchObject({ kind: "denied" });
    await off(PASSWORD, recoveryCodes[0]!);
    expect(await bed.access.signIn(signingIn("anna"))).toBeDefined();
  });
});

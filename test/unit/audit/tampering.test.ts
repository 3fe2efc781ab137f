/** Whatever is done to the bytes of an audit, verifying it says so, and where. */
import { beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { verifyAudit, type AuditReport } from "../../../src/audit/audit.ts";
import { encodeEntry, encodeSeal, parseLine, sealedText, type AuditEntry } from "../../../src/audit/line.ts";
import { exportEnd, exportHeader } from "../../../src/audit/verify.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";
import { act, AUDIT_DIR, onDisk, openAuditBed, smallAudit } from "../../support/audit-bed.ts";

const FILE = `${AUDIT_DIR}/0001.jsonl`;
let bytes: Uint8Array;
let lines: string[];

beforeAll(async () => {
  bytes = await smallAudit(6);
  lines = textOf(bytes).trimEnd().split("\n");
});

const textOf = (data: Uint8Array): string => new TextDecoder().decode(data);

async function verifying(data: Uint8Array | string, options = {}, path = FILE, at = AUDIT_DIR): Promise<AuditReport> {
  const disk = new MemoryDisk();
  disk.files.set(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
  return await verifyAudit(disk, at, options);
}
const joined = (some: readonly string[]): string => some.map((line) => `${line}\n`).join("");
const whatOf = (report: AuditReport): string =>
  report.findings.map(({ where, what }) => `${where}: ${what}`).join("; ");

describe("verifyAudit()", () => {
  test("finds nothing wrong with an audit that nobody touched", async () => {
    const report = await verifying(bytes);
    expect(report.findings).toEqual([]);
    expect(report.entries).toBe(7);
    expect(report.seals).toBe(2);
    expect(report.unsealed).toBe(0);
    expect(report.head?.seq).toBe(9);
  });

  test("finds any byte that was changed, in any bit", async () => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const report = await verifying(changed);
      expect(report.findings.length, `byte ${at}`).toBeGreaterThan(0);
    }
  });

  test("finds any byte that was taken out or put in", async () => {
    for (let at = 0; at < bytes.length; at++) {
      const without = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
      const more = Buffer.concat([bytes.subarray(0, at), new Uint8Array([32]), bytes.subarray(at)]);
      expect((await verifying(without)).findings.length, `without byte ${at}`).toBeGreaterThan(0);
      expect((await verifying(more)).findings.length, `with a blank before ${at}`).toBeGreaterThan(0);
    }
  });

  test("says which lines are missing, doubled or out of order", async () => {
    for (let i = 0; i < lines.length - 1; i++) {
      const dropped = await verifying(joined(lines.toSpliced(i, 1)));
      expect(whatOf(dropped)).toContain(
        i === 0 ? "the beginning is missing: the first line here is 2" : `line ${i + 1} is missing`,
      );
      expect(whatOf(dropped)).toContain(`0001.jsonl, line ${i + 1}:`);
      const doubled = await verifying(joined(lines.toSpliced(i, 0, lines[i] ?? "")));
      expect(doubled.findings.length, `line ${i} doubled`).toBeGreaterThan(0);
      const swapped = lines.with(i, lines[i + 1] ?? "").with(i + 1, lines[i] ?? "");
      expect((await verifying(joined(swapped))).findings.length, `line ${i} swapped`).toBeGreaterThan(0);
    }
    expect(whatOf(await verifying(joined(lines.toSpliced(3, 3))))).toBe("0001.jsonl, line 4: lines 4 to 6 are missing");
  });

  test("finds an end that was cut off by what was noted down, and only by that", async () => {
    const parsed = parseLine(new TextEncoder().encode(lines.at(-1)));
    const head = parsed.kind === "seal" ? { seq: parsed.seal.seq, hash: parsed.seal.hash } : undefined;
    expect(head).toBeDefined();
    const heads = head === undefined ? [] : [head];
    for (let kept = 2; kept < lines.length; kept++) {
      const cut = joined(lines.slice(0, kept));
      expect((await verifying(cut)).findings).toEqual([]);
      expect(whatOf(await verifying(cut, { heads }))).toContain(
        `the end is missing: it ends with line ${kept}, and line 9 was noted`,
      );
    }
    expect((await verifying(bytes, { heads })).findings).toEqual([]);
  });

  test("an audit that was written anew with another key shows by the key that was noted down", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).toString("base64");
    const forged = rewritten((hash) => sign(null, sealedText(hash), privateKey).toString("base64"), key);
    const genuine = (await verifying(bytes)).fingerprint;
    expect((await verifying(joined(forged))).findings).toEqual([]);
    expect(whatOf(await verifying(joined(forged), { fingerprint: genuine }))).toContain("not by");
    expect((await verifying(bytes, { fingerprint: genuine })).findings).toEqual([]);
  });

  test("finds lines that were written anew without the key", async () => {
    const genuine = JSON.parse(lines[1] ?? "").seal as string;
    const forged = rewritten(() => Buffer.alloc(64, 7).toString("base64"), genuine);
    expect(whatOf(await verifying(joined(forged)))).toContain("the signature of line 2 is wrong");
  });

  test("finds the key exchanged in the middle", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).toString("base64");
    const last = parseLine(new TextEncoder().encode(lines.at(-1)));
    const seal = last.kind === "seal" ? last.seal : undefined;
    const other = encodeSeal(seal ?? { seq: 0, time: "", previous: "" }, key, (hash) =>
      sign(null, sealedText(hash), privateKey).toString("base64"),
    );
    expect(whatOf(await verifying(joined(lines.with(-1, other.text))))).toContain("the key changes here");
  });

  test("finds more lines without a signature than an appliance ever writes", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const key = createPublicKey(createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" })))
      .export({ format: "der", type: "spki" })
      .toString("base64");
    const made: string[] = [];
    let previous = "0".repeat(64);
    for (let seq = 1; seq <= 300; seq++) {
      const facts = seq === 1 ? act("audit", { action: "audit-begun", detail: { key } }) : act("web1");
      const line = encodeEntry({ seq, time: "2026-01-01T00:00:00.000000Z", previous }, facts);
      previous = line.hash;
      made.push(line.text);
    }
    expect(whatOf(await verifying(joined(made)))).toBe("0001.jsonl, line 257: more than 256 lines are not signed");
  });

  /** The same acts with one of them changed, hashed anew from the start, and signed as the caller does. */
  function rewritten(signHash: (hash: string) => string, key: string): string[] {
    let previous = "0".repeat(64);
    return lines.map((line, i) => {
      const value = JSON.parse(line) as AuditEntry & { seal?: string };
      const at = { seq: value.seq, time: value.time, previous };
      const facts = { ...value, ...(i === 3 ? { who: "bob" } : {}), ...(i === 0 ? { detail: { key } } : {}) };
      const made = value.seal === undefined ? encodeEntry(at, facts) : encodeSeal(at, key, signHash);
      previous = made.hash;
      return made.text;
    });
  }
});

describe("an export", () => {
  let text: string;
  let fingerprint: string;
  beforeAll(async () => {
    await onDisk(3, async (sim, disk) => {
      const { trail } = await openAuditBed(sim, disk);
      for (let i = 0; i < 4; i++) await trail.append(act(`web${i}`));
      const parts: Uint8Array[] = [];
      for await (const part of await trail.export()) parts.push(part);
      text = textOf(Buffer.concat(parts));
      fingerprint = trail.key.fingerprint;
      await trail.stop();
    });
  });
  const exported = (data: Uint8Array | string, options = {}) =>
    verifying(data, options, "/tmp/a.jsonl", "/tmp/a.jsonl");

  test("verifies with its key", async () => {
    const report = await exported(text, { fingerprint });
    expect(report.findings).toEqual([]);
    expect(report.entries).toBe(5);
    expect(report.unsealed).toBe(0);
  });

  test("any byte of it that was changed is found", async () => {
    const data = new TextEncoder().encode(text);
    for (let at = 0; at < data.length; at++) {
      const changed = data.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const report = await exported(changed).catch(() => undefined);
      expect(report === undefined || report.findings.length > 0, `byte ${at}`).toBe(true);
    }
  });

  test("shows that its end or its beginning was taken away", async () => {
    const all = text.trimEnd().split("\n");
    for (let kept = 1; kept < all.length; kept++) {
      expect((await exported(joined(all.slice(0, kept)))).findings.length, `${kept} lines`).toBeGreaterThan(0);
    }
    expect((await exported(joined(all.toSpliced(1, 1)))).findings.length).toBeGreaterThan(0);
    // Somebody who writes the end anew is caught by the missing signature.
    const header = all[0] ?? "";
    expect(header).toBe(exportHeader(JSON.parse(header).key as string));
    const third = JSON.parse(all[3] ?? "") as AuditEntry;
    const cut = [...all.slice(0, 4), exportEnd(third)];
    expect(whatOf(await exported(joined(cut)))).toContain("not signed");
  });
});

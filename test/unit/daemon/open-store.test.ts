import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { storeOpener } from "../../../src/daemon/open-store.ts";
import type { TierSettings } from "../../../src/replication/replication.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-open-store-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const S3 = "s3://backups/web?endpoint=https://s3.example.org&region=eu-1";

async function urlOf(url: string, more: Partial<TierSettings> = {}, env: Record<string, string> = {}): Promise<string> {
  const open = storeOpener({ disk: realDisk, clock: systemClock, env });
  const store = await open({ name: "t", url, mode: "continuous", rpoSeconds: 5, ...more });
  await store.close();
  return store.url;
}

async function refusal(work: Promise<unknown>): Promise<SternwayError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SternwayError) return error;
    throw error;
  }
  throw new Error("it was opened");
}

function secretFile(text: string): string {
  const path = join(dir, "secret");
  writeFileSync(path, text);
  return path;
}

describe("storeOpener()", () => {
  test("opens directories without any secret", async () => {
    expect(await urlOf("file:///mnt/usb")).toBe("file:///mnt/usb");
  });

  test("takes S3 credentials from a file, whatever stands around them, or from the environment", async () => {
    const file = secretFile("# of the backup user\n  accessKeyId = AK\r\nsecretAccessKey=se+c/ret=\n");
    expect(await urlOf(S3, { secretFile: file })).toContain("s3://backups/web");
    const env = { AWS_ACCESS_KEY_ID: "AK", AWS_SECRET_ACCESS_KEY: "secret" };
    expect(await urlOf(S3, {}, env)).toContain("s3://backups/web");
  });

  test.each([
    ["no credentials at all", S3, undefined, /S3 credentials are missing: give --secret-file/],
    ["half of them", S3, "accessKeyId=AK\n", /S3 credentials are missing/],
    ["no token", "https://other:7482/web", undefined, /credentials of the peer are missing: .* holds its token/],
  ])("refuses %s, and says what to do", async (_what, url, text, message) => {
    const more = text === undefined ? {} : { secretFile: secretFile(text) };
    const error = await refusal(urlOf(url, more));
    expect(error.kind).toBe("denied");
    expect(error.message).toMatch(message);
  });

  test("refuses a file that is not there, and a token that is none, without repeating it", async () => {
    const missing = await refusal(urlOf(S3, { secretFile: join(dir, "none") }));
    expect(missing).toMatchObject({ kind: "denied" });
    expect(missing.message).toContain("cannot be read by the daemon");
    const wrong = await refusal(urlOf("https://other:7482/web", { secretFile: secretFile("my-secret-words") }));
    expect(wrong.kind).toBe("invalid");
    expect(wrong.message).not.toContain("my-secret-words");
  });
});

/** Addresses of an S3 store, and options that cannot be. */
import { expect, test } from "bun:test";
import { systemClock } from "../../../../src/base/clock.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { S3Location, type S3StoreOptions } from "../../../../src/tiers/s3/s3-options.ts";

const options = (more: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
  endpoint: "https://s3.example.test:9000",
  region: "eu-1",
  bucket: "vaults",
  prefix: "company/a",
  credentials: { accessKeyId: "KEY", secretAccessKey: "SECRET" },
  clock: systemClock,
  ...more,
});

test("object() is below the endpoint and the bucket, or below the bucket's own host", () => {
  const address = (more: Partial<S3StoreOptions>): string => new S3Location(options(more)).object("packs/1").href;
  expect(address({})).toBe("https://s3.example.test:9000/vaults/company/a/packs/1");
  expect(address({ prefix: "" })).toBe("https://s3.example.test:9000/vaults/packs/1");
  expect(address({ prefix: "/a/b/" })).toBe("https://s3.example.test:9000/vaults/a/b/packs/1");
  expect(address({ pathStyle: false })).toBe("https://vaults.s3.example.test:9000/company/a/packs/1");
  expect(address({ endpoint: "https://s3.eu-west-1.amazonaws.com" })).toBe(
    "https://vaults.s3.eu-west-1.amazonaws.com/company/a/packs/1",
  );
});

test("nameOf() gives names of this store's objects and of no others", () => {
  const location = new S3Location(options());
  expect(location.nameOf("company/a/packs/1")).toBe("packs/1");
  for (const key of ["company/a", "company/a/", "company/ab/1", "other", "company/a/../b", "company/a/.x", ""]) {
    expect(location.nameOf(key)).toBeUndefined();
  }
  expect(new S3Location(options({ prefix: "" })).nameOf("packs/1")).toBe("packs/1");
});

test("url says where it is, and nothing of the credentials", () => {
  const { url } = new S3Location(options());
  expect(url).toBe("s3://vaults/company/a?endpoint=https://s3.example.test:9000&region=eu-1");
});

test("options that cannot be are invalid, and their message repeats no endpoint with a password", () => {
  const wrong: Partial<S3StoreOptions>[] = [
    { endpoint: "s3.example.test" },
    { endpoint: "ftp://s3.example.test" },
    { endpoint: "https://user:pass-word@s3.example.test" },
    { endpoint: "https://s3.example.test/path" },
    { endpoint: "https://s3.example.test/?key=pass-word" },
    { bucket: "" },
    { bucket: "a/b" },
    { bucket: "../b" },
    { prefix: "a/../b" },
    { prefix: "a b" },
    { region: "" },
    { region: "eu 1" },
    { credentials: { accessKeyId: "", secretAccessKey: "x" } },
    { storageClass: "DEEP_ARCHIVE" },
    { storageClass: "a\nb" },
    { objectLockDays: 0 },
    { objectLockDays: 1.5 },
    { objectLockDays: 1e6 },
  ];
  for (const each of wrong) {
    try {
      new S3Location(options(each));
    } catch (error) {
      if (!isSternwayError(error, "invalid")) throw error;
      expect(error.message).not.toContain("pass-word");
      continue;
    }
    throw new Error(`taken: ${JSON.stringify(each)}`);
  }
});

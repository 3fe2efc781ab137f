import { expect, test } from "bun:test";
import { resolveConfig } from "../../../src/config/config.ts";

const OIDC = {
  issuer: "https://login.example.org/realms/it",
  clientId: "sternway",
  clientSecretFile: "/etc/sternway/oidc.secret",
  redirectUrl: "https://sternway.example.org/v1/oidc/callback",
  roleClaim: "groups",
  roles: { "storage-admins": "administrator" },
};

function resolved(change: object) {
  const fileText = JSON.stringify({ oidc: { ...OIDC, ...change } });
  return resolveConfig({ fileText, filePath: "/data/config.json", environment: {}, flags: {} }).oidc;
}

test("oidc is taken as it is written, and is not there by default", () => {
  expect(resolved({})).toEqual({ ...OIDC, roles: { "storage-admins": "administrator" } });
  expect(resolveConfig({ filePath: "", environment: {}, flags: {} }).oidc).toBeUndefined();
  expect(resolved({ issuer: "http://127.0.0.1:8080" })).toMatchObject({ issuer: "http://127.0.0.1:8080" });
});

const refused: [change: object, says: RegExp][] = [
  [{ issuer: "http://login.example.org" }, /oidc\.issuer .*https/],
  [{ issuer: "http://127.0.0.1.example.org" }, /oidc\.issuer .*https/],
  [{ issuer: "https://user:secret@login.example.org" }, /oidc\.issuer/],
  [{ issuer: "login.example.org" }, /oidc\.issuer/],
  [{ issuer: "https://login.example.org/?a=b" }, /oidc\.issuer .*query/],
  [{ redirectUrl: "http://sternway.example.org/v1/oidc/callback" }, /oidc\.redirectUrl .*https/],
  [{ redirectUrl: "https://sternway.example.org/callback" }, /oidc\.redirectUrl .*\/v1\/oidc\/callback/],
  [{ clientSecretFile: "oidc.secret" }, /oidc\.clientSecretFile .*absolute/],
  [{ roles: { admins: "king" } }, /oidc\.roles\.admins/],
  [{ clientSecret: "x" }, /oidc\.clientSecret is not known; did you mean oidc\.clientSecretFile/],
];
for (const [change, says] of refused) {
  test(`oidc refuses ${JSON.stringify(change)}`, () => {
    expect(() => resolved(change)).toThrow(says);
  });
}

import { expect, test } from "bun:test";
import {
  certificateCommand,
  CLIENTS,
  connectCommands,
  doorChoices,
  doorLabel,
  userCommand,
  type Door,
} from "../../../src/web/console/connect-commands.ts";

const UNIX: Door = { kind: "unix", path: "/srv/stern way/nbd.sock" };
const OPEN: Door = { kind: "tcp", host: "127.0.0.1", port: 10809, tls: false, credentials: false };
const TLS: Door = { kind: "tcp", host: "backup.example.org", port: 10809, tls: true, credentials: true };

const textOf = (client: (typeof CLIENTS)[number], door: Door): string =>
  connectCommands(client, "web1", door)
    .map((command) => command.text)
    .join("\n");

test("doors that mean all addresses are named as the browser reached the appliance", () => {
  const doors = { socketPath: "/srv/nbd.sock", nbd: [{ host: "0.0.0.0", port: 10809, tls: true, credentials: true }] };
  const [own, other] = doorChoices(doors, "backup.example.org");
  expect(own).toEqual({ kind: "unix", path: "/srv/nbd.sock" });
  expect(other).toMatchObject({ kind: "tcp", host: "backup.example.org" });
  expect(doorLabel({ ...OPEN, host: "::1" })).toBe("from this machine, [::1]:10809");
});

test("the socket for users comes last, says for whom it is, and has a command that lets one in", () => {
  const doors = { socketPath: "/srv/nbd.sock", localSocketPath: "/run/sternway/nbd.sock", nbd: [] };
  const [own, local] = doorChoices(doors, "backup.example.org");
  expect(doorLabel(own!)).toBe("on the appliance itself");
  expect(doorLabel(local!)).toBe("on the appliance itself, as another user than root");
  expect(textOf("qemu", local!)).toContain(",server.path=/run/sternway/nbd.sock,export=web1,");
  expect(userCommand("web1", "shop")).toBe("sternway credential add shop --user libvirt-qemu --write");
  expect(userCommand("web1", undefined)).toStartWith("sternway machine add web1 web1\nsternway credential add web1 ");
});

test("every command names the volume, on the appliance through its socket", () => {
  for (const client of CLIENTS) expect(textOf(client, UNIX)).toContain("web1");
  expect(textOf("linux", UNIX)).toContain("nbd-client -unix '/srv/stern way/nbd.sock' /dev/nbd0 -name web1");
  expect(textOf("qemu", UNIX)).toContain(",server.path=/srv/stern way/nbd.sock,export=web1,");
  expect(textOf("qemu", UNIX)).toContain("-blockdev 'driver=nbd,");
  expect(textOf("proxmox", UNIX)).toContain(`--args '-blockdev "driver=nbd,`);
  expect(textOf("qemu", UNIX)).toContain("socket=/srv/stern%20way/nbd.sock");
});

test("a door with TLS and certificates gets both in every command", () => {
  for (const client of ["qemu", "proxmox"] as const) {
    expect(textOf(client, TLS)).toContain("tls-creds-x509,id=sternway,endpoint=client");
    expect(textOf(client, TLS)).toContain("tls-creds=sternway");
  }
  expect(textOf("linux", TLS)).toContain("-cacertfile");
  expect(textOf("linux", TLS)).toContain("-certfile");
  expect(textOf("qemu", TLS)).not.toContain("-O raw --object");
});

test("a door without TLS gets none", () => {
  for (const client of CLIENTS) expect(textOf(client, OPEN)).not.toContain("tls");
  expect(textOf("qemu", OPEN)).toContain(" nbd://127.0.0.1:10809/web1");
});

test("the certificate's files have the names that QEMU looks for, and are made for their owner alone", () => {
  const text = certificateCommand({ certificatePem: "CERT\n", keyPem: "KEY", authorityPem: "CA" });
  for (const name of ["ca-cert.pem", "client-cert.pem", "client-key.pem"]) expect(text).toContain(`/${name} <<'END'`);
  expect(text).toContain("umask 077");
});

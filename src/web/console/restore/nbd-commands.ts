/**
 * Commands that attach a disk over NBD, ready to be pasted: of a past moment, which is read-only, or of the live disk. The URI names the door: the socket on the
 * appliance itself, TCP, or TLS with the credential of a machine, whose folder is `FOLDER` until somebody fills it in.
 */
import type { WireDoors } from "../../../contract/doors.ts";

export interface Door {
  id: string;
  /** Where these commands are run. */
  label: string;
  place: { kind: "socket"; path: string } | { kind: "tcp"; host: string; port: number; tls: boolean };
  /** Clients come with the certificate of a machine. */
  needsCredential: boolean;
}

export interface Command {
  id: string;
  /** The program. */
  label: string;
  /** What it is for. */
  hint: string;
  text: string;
}

const EVERY_ADDRESS = new Set(["0.0.0.0", "::", "[::]", ""]);

/** @param pageHost - by which this page was reached: what listens on all addresses is reached by it too */
export function doorsOf(doors: WireDoors, pageHost: string): Door[] {
  const own: Door = {
    id: "socket",
    label: "on the appliance itself",
    place: { kind: "socket", path: doors.socketPath },
    needsCredential: false,
  };
  const others = doors.nbd.map(({ host, port, tls, credentials }): Door => {
    const name = EVERY_ADDRESS.has(host) ? pageHost : host;
    return {
      id: `${host}:${port}`,
      label: `over the network, ${hostText(name)}:${port}${tls ? " with TLS" : ""}`,
      place: { kind: "tcp", host: name, port, tls },
      needsCredential: credentials,
    };
  });
  return [...others, own];
}

/** `web1@lsn:7`, or `web1` for the live disk. */
export function exportName(volume: string, at: string | undefined): string {
  return at === undefined ? volume : `${volume}@${at}`;
}

export function uriOf(door: Door, name: string): string {
  // A colon may stand in a path as it is, and `@` too; nothing else of ours needs escaping.
  const path = encodeURIComponent(name).replaceAll("%3A", ":").replaceAll("%40", "@");
  if (door.place.kind === "socket") return `nbd+unix:///${path}?socket=${encodeURI(door.place.path)}`;
  const { host, port, tls } = door.place;
  const credentials = door.needsCredential ? "?tls-certificates=FOLDER" : "";
  return `${tls ? "nbds" : "nbd"}://${hostText(host)}:${port}/${path}${credentials}`;
}

/** @param at - undefined: the live disk, which is written to */
export function commandsOf(door: Door, volume: string, at: string | undefined): Command[] {
  const name = exportName(volume, at);
  const uri = uriOf(door, name);
  const isPast = at !== undefined;
  return [
    {
      id: "nbd-client",
      label: "nbd-client",
      hint: "A block device of the Linux kernel; mount a partition of it afterwards.",
      text: `sudo modprobe nbd max_part=16\n${nbdClient(door, name, isPast)}${isPast ? mountLine() : ""}`,
    },
    {
      id: "qemu-nbd",
      label: "qemu-nbd",
      hint: "The same by QEMU's tools.",
      text: `sudo modprobe nbd max_part=16\nsudo qemu-nbd${isPast ? " --read-only" : ""} --connect=/dev/nbd0 ${qemuImage(door, name)}${isPast ? mountLine() : ""}`,
    },
    {
      id: "nbdfuse",
      label: "nbdfuse",
      hint: "The disk as one file, without root.",
      text: `mkdir -p disk\nnbdfuse${isPast ? " --readonly" : ""} disk ${quoted(uri)} &\nls -l disk/nbd`,
    },
    {
      id: "qemu-system",
      label: "qemu-system",
      hint: isPast
        ? "Boots the past in a VM; what the VM writes is thrown away when it ends."
        : "Boots from the live disk.",
      text: `qemu-system-x86_64 -enable-kvm -m 2G \\\n  ${qemuDrive(door, name, isPast)}`,
    },
  ];
}

/** Partitions of a journalled file system that was in use want their journal replayed, which a read-only device refuses. */
function mountLine(): string {
  return "\nlsblk /dev/nbd0\nsudo mount -o ro,noload /dev/nbd0p1 /mnt   # ext4; for XFS: -o ro,norecovery,nouuid";
}

function nbdClient({ place, needsCredential }: Door, name: string, isPast: boolean): string {
  const readOnly = isPast ? " -readonly" : "";
  if (place.kind === "socket")
    return `sudo nbd-client -unix ${quoted(place.path)} /dev/nbd0 -N ${quoted(name)}${readOnly}`;
  const own = needsCredential ? " -certfile FOLDER/client-cert.pem -keyfile FOLDER/client-key.pem" : "";
  const tls = place.tls ? ` -cacertfile FOLDER/ca-cert.pem${own}` : "";
  return `sudo nbd-client ${place.host} ${place.port} /dev/nbd0 -N ${quoted(name)}${tls}${readOnly}`;
}

/** As QEMU's options, which take TLS credentials where a URI cannot. */
function qemuOptions({ place }: Door, name: string): string {
  const at =
    place.kind === "socket"
      ? `server.type=unix,server.path=${place.path}`
      : `server.type=inet,server.host=${place.host},server.port=${place.port}`;
  const tls = place.kind === "tcp" && place.tls ? ",tls-creds=tls0" : "";
  return `driver=nbd,${at},export=${name}${tls}`;
}

function tlsObject({ place }: Door): string {
  return place.kind === "tcp" && place.tls ? "--object tls-creds-x509,id=tls0,dir=FOLDER,endpoint=client " : "";
}

function qemuImage(door: Door, name: string): string {
  return `${tlsObject(door)}--image-opts ${quoted(qemuOptions(door, name))}`;
}

function qemuDrive(door: Door, name: string, isPast: boolean): string {
  const object = tlsObject(door).replace("--object", "-object");
  const nbd = qemuOptions(door, name)
    .replace("driver=nbd", "file.driver=nbd")
    .replaceAll(/,(server|export|tls)/g, ",file.$1");
  return `${object === "" ? "" : `${object}\\\n  `}-drive ${quoted(`${nbd},format=raw,if=virtio${isPast ? ",snapshot=on" : ""}`)}`;
}

/** For a shell. Names, paths and addresses of ours hold no quote; one that does is escaped all the same. */
function quoted(text: string): string {
  return /^[A-Za-z0-9_./:@=+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function hostText(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

/**
 * Commands that attach a disk over NBD, ready to be pasted: of a past moment, which is read-only, or of the live disk. The URI names the door: the socket on the
 * appliance itself, TCP, or TLS with the certificate of a machine, whose folder the reader names.
 */
import type { WireDoors } from "../../../contract/doors.ts";
import { CERTIFICATE_DIR, hostText, optionValue, shellWord, uriValue } from "../shell-words.ts";

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
  /** How to get at the files once it is attached, where the commands do not do that yet. */
  files?: string;
  /** What detaches it again; undefined: ending the program. */
  end?: string;
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

/** Certificates are given apart: not every program takes them from a URI. */
export function uriOf(door: Door, name: string): string {
  // A colon may stand in a path as it is, and `@` too; nothing else of ours needs escaping.
  const path = encodeURIComponent(name).replaceAll("%3A", ":").replaceAll("%40", "@");
  if (door.place.kind === "socket") return `nbd+unix:///${path}?socket=${uriValue(door.place.path)}`;
  const { host, port, tls } = door.place;
  return `${tls ? "nbds" : "nbd"}://${hostText(host)}:${port}/${path}`;
}

/**
 * @param at - undefined: the live disk, which is written to
 * @param folder - with ca-cert.pem and, where a credential is needed, the certificate and its key
 */
export function commandsOf(door: Door, volume: string, at: string | undefined, folder = CERTIFICATE_DIR): Command[] {
  const name = exportName(volume, at);
  const isPast = at !== undefined;
  return [
    {
      id: "nbd-client",
      label: "nbd-client",
      hint: "A block device of the Linux kernel; mount a partition of it afterwards.",
      text: `sudo modprobe nbd max_part=16\n${nbdClient(door, name, folder, isPast)}${isPast ? MOUNT_LINES : ""}`,
      end: `${isPast ? UNMOUNT : ""}sudo nbd-client -d /dev/nbd0`,
    },
    {
      id: "qemu-nbd",
      label: "qemu-nbd",
      hint: "The same by QEMU's tools.",
      text: `sudo modprobe nbd max_part=16\nsudo qemu-nbd${isPast ? " --read-only" : ""} --connect=/dev/nbd0 ${qemuImage(door, name, folder)}${isPast ? MOUNT_LINES : ""}`,
      end: `${isPast ? UNMOUNT : ""}sudo qemu-nbd -d /dev/nbd0`,
    },
    {
      id: "nbdfuse",
      label: "nbdfuse",
      hint: "The disk as one file. Where a certificate is needed it takes qemu-nbd, too.",
      // It says nothing when it is ready, and a look before that finds an empty folder.
      text: `mkdir -p disk\nnbdfuse${isPast ? " --readonly" : ""} disk ${fuseSource(door, name, folder, isPast)} &\ntimeout 20 sh -c 'until ls -l disk/nbd 2> /dev/null; do sleep 0.2; done'`,
      ...(isPast ? { files: FILE_LINES } : {}),
      end: `${isPast ? UNMOUNT : ""}fusermount3 -u disk`,
    },
    {
      id: "qemu-system",
      label: "qemu-system",
      hint: isPast
        ? "Boots the past in a VM; what the VM writes is thrown away when it ends."
        : "Boots from the live disk.",
      text: `qemu-system-x86_64 -machine accel=kvm:tcg -m 2G \\\n  ${qemuDrive(door, name, folder, isPast)}`,
    },
  ];
}

/** Partitions of a journalled file system that was in use want their journal replayed, which a read-only device refuses. */
const MOUNT_LINES = `
lsblk /dev/nbd0   # a disk without partitions is mounted as /dev/nbd0 itself
sudo mount -o ro,noload /dev/nbd0p1 /mnt   # ext4; for XFS: -o ro,norecovery,nouuid`;

const FILE_LINES = `mount -o ro,noload,loop disk/nbd /mnt   # ext4 without partitions, as the user who runs nbdfuse: root
losetup --find --show --read-only --partscan disk/nbd   # with partitions: says /dev/loopN; mount -o ro,noload /dev/loopNp1 /mnt`;
const UNMOUNT = "sudo umount /mnt\n";

function nbdClient({ place, needsCredential }: Door, name: string, folder: string, isPast: boolean): string {
  const readOnly = isPast ? " -readonly" : "";
  if (place.kind === "socket")
    return `sudo nbd-client -unix ${shellWord(place.path)} /dev/nbd0 -N ${shellWord(name)}${readOnly}`;
  const file = (each: string): string => shellWord(`${folder}/${each}.pem`);
  const own = needsCredential ? ` -certfile ${file("client-cert")} -keyfile ${file("client-key")}` : "";
  const tls = place.tls ? ` -cacertfile ${file("ca-cert")}${own}` : "";
  return `sudo nbd-client ${place.host} ${place.port} /dev/nbd0 -N ${shellWord(name)}${tls}${readOnly}`;
}

/** nbdfuse takes no certificates, neither by an option nor in a URI (libnbd refuses them there), so qemu-nbd brings them. */
function fuseSource(door: Door, name: string, folder: string, isPast: boolean): string {
  return door.place.kind === "tcp" && door.place.tls
    ? `--socket-activation \\\n  qemu-nbd${isPast ? " --read-only" : ""} ${qemuImage(door, name, folder)}`
    : shellWord(uriOf(door, name));
}

/** As QEMU's options, which take TLS credentials where a URI cannot. @param prefix - before each, for those of a drive's file */
function qemuOptions({ place }: Door, name: string, prefix = ""): string {
  const at =
    place.kind === "socket"
      ? ["server.type=unix", `server.path=${optionValue(place.path)}`]
      : ["server.type=inet", `server.host=${place.host}`, `server.port=${place.port}`];
  const tls = place.kind === "tcp" && place.tls ? ["tls-creds=tls0"] : [];
  return ["driver=nbd", ...at, `export=${name}`, ...tls].map((option) => prefix + option).join(",");
}

/** The option that QEMU's programs take the certificate by, as words for a shell; undefined where there is no TLS. */
function tlsObject({ place }: Door, folder: string): string | undefined {
  if (place.kind !== "tcp" || !place.tls) return undefined;
  return shellWord(`tls-creds-x509,id=tls0,dir=${optionValue(folder)},endpoint=client`);
}

function qemuImage(door: Door, name: string, folder: string): string {
  const object = tlsObject(door, folder);
  const image = `--image-opts ${shellWord(qemuOptions(door, name))}`;
  return object === undefined ? image : `--object ${object} ${image}`;
}

function qemuDrive(door: Door, name: string, folder: string, isPast: boolean): string {
  const object = tlsObject(door, folder);
  const options = `${qemuOptions(door, name, "file.")},format=raw,if=virtio${isPast ? ",snapshot=on" : ""}`;
  const drive = `-drive ${shellWord(options)}`;
  return object === undefined ? drive : `-object ${object} \\\n  ${drive}`;
}

/**
 * The exact commands that connect a machine to its volume: for QEMU, Proxmox VE and a Linux host; on the appliance itself through its socket, from elsewhere
 * over TCP, with TLS and the machine's certificate where the door asks for them. Pure. Names of volumes need no quoting; paths are quoted.
 */
import type { WireDoors } from "../../contract/contract.ts";

export type Door =
  { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number; tls: boolean; credentials: boolean };

export interface ConnectCommand {
  /** What for, as a heading. */
  title: string;
  /** What to know before. */
  hint: string;
  text: string;
}

export const CLIENTS = ["qemu", "proxmox", "linux"] as const;
export type ConnectClient = (typeof CLIENTS)[number];
export const CLIENT_LABELS: Record<ConnectClient, string> = {
  qemu: "QEMU",
  proxmox: "Proxmox VE",
  linux: "Linux host",
};

/** Where a machine keeps the three files of its certificate, named as QEMU wants them. */
export const CERTIFICATE_DIR = "/etc/sternway-client";

/** The doors of an appliance. @param ownHost - as the browser reached it: what stands for an address that means all of them */
export function doorChoices(doors: WireDoors, ownHost: string): Door[] {
  return [
    { kind: "unix", path: doors.socketPath },
    ...doors.nbd.map((door): Door => ({
      kind: "tcp",
      ...door,
      host: door.host === "0.0.0.0" || door.host === "::" ? ownHost : door.host,
    })),
  ];
}

/** A door as people name it. */
export function doorLabel(door: Door): string {
  if (door.kind === "unix") return "on the appliance itself";
  return `from ${isLocal(door.host) ? "this machine" : "other machines"}, ${hostPort(door)}`;
}

export function connectCommands(client: ConnectClient, volume: string, door: Door): ConnectCommand[] {
  switch (client) {
    case "qemu":
      return [
        {
          title: "Start a VM on it",
          hint: "Writes of the VM go straight to the volume.",
          text: `qemu-system-x86_64 … \\\n  ${qemuWords(volume, door).join(" \\\n  ")}`,
        },
        copyIn(volume, door),
      ];
    case "proxmox":
      return [
        {
          title: "Give it to a VM",
          hint: "As root on the node, with the VM stopped; 100 is the VM's number. It becomes one more virtio disk.",
          text: `qm set 100 --args '${qemuWords(volume, door).join(" ")}'`,
        },
        copyIn(volume, door),
      ];
    case "linux":
      return [
        {
          title: "Connect it as a block device",
          hint: "For data disks. Keep root disks off the kernel's NBD client: it reconnects badly.",
          text: `modprobe nbd\n${nbdClient(volume, door)}`,
        },
        {
          title: "Make a file system on it",
          hint: "For a new, empty volume.",
          text: `mkfs.ext4 /dev/nbd0\nmkdir -p /mnt/${volume} && mount /dev/nbd0 /mnt/${volume}`,
        },
        {
          title: "Or mirror an existing disk onto it",
          hint: "Makes a new mirror of an unused disk and the volume; reads come from the disk.",
          text: `mdadm --create /dev/md/${volume} --level=1 --raid-devices=2 --bitmap=internal /dev/sdX --write-mostly /dev/nbd0`,
        },
      ];
  }
}

/** Writes the three files of a certificate where the commands look for them. */
export function certificateCommand(made: { certificatePem: string; keyPem: string; authorityPem: string }): string {
  const file = (name: string, pem: string): string => `cat > ${CERTIFICATE_DIR}/${name} <<'END'\n${pem.trim()}\nEND`;
  return [
    `install -d -m 0700 ${CERTIFICATE_DIR} && umask 077`,
    file("ca-cert.pem", made.authorityPem),
    file("client-cert.pem", made.certificatePem),
    file("client-key.pem", made.keyPem),
  ].join("\n");
}

function copyIn(volume: string, door: Door): ConnectCommand {
  const command =
    door.kind === "tcp" && door.tls
      ? `qemu-img convert -n -p --object ${tlsObject()} --target-image-opts \\\n  disk.qcow2 driver=nbd,${server(door)},export=${volume},tls-creds=sternway`
      : `qemu-img convert -n -p -O raw disk.qcow2 '${uri(volume, door)}'`;
  return {
    title: "Or bring an existing disk in first",
    hint: "With the machine off. The volume must be at least as large as the disk.",
    text: command,
  };
}

function qemuWords(volume: string, door: Door): string[] {
  const node = "sternway0";
  const tls = door.kind === "tcp" && door.tls;
  return [
    ...(tls ? [`-object ${tlsObject()}`] : []),
    `-blockdev driver=nbd,node-name=${node},${server(door)},export=${volume},reconnect-delay=60,discard=unmap,cache.direct=on${tls ? ",tls-creds=sternway" : ""}`,
    `-device virtio-blk-pci,drive=${node},serial=${volume.slice(0, 20)}`,
  ];
}

function server(door: Door): string {
  return door.kind === "unix"
    ? `server.type=unix,server.path=${door.path.replaceAll(",", ",,")}`
    : `server.type=inet,server.host=${door.host},server.port=${door.port}`;
}

const tlsObject = (): string => `tls-creds-x509,id=sternway,endpoint=client,dir=${CERTIFICATE_DIR}`;

function uri(volume: string, door: Door): string {
  return door.kind === "unix"
    ? `nbd+unix:///${volume}?socket=${encodeURI(door.path).replaceAll("'", "%27")}`
    : `nbd://${hostPort(door)}/${volume}`;
}

function nbdClient(volume: string, door: Door): string {
  if (door.kind === "unix") return `nbd-client -unix ${quoted(door.path)} /dev/nbd0 -name ${volume} -persist`;
  const certificate = door.credentials
    ? ` -certfile ${CERTIFICATE_DIR}/client-cert.pem -keyfile ${CERTIFICATE_DIR}/client-key.pem`
    : "";
  const tls = door.tls ? ` \\\n  -cacertfile ${CERTIFICATE_DIR}/ca-cert.pem${certificate}` : "";
  return `nbd-client ${door.host} ${door.port} /dev/nbd0 -name ${volume} -persist${tls}`;
}

const hostPort = ({ host, port }: { host: string; port: number }): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

const isLocal = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");

/** A word for a shell. */
function quoted(word: string): string {
  return /^[A-Za-z0-9._/:@-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The exact commands that connect a machine to its volume: for QEMU, Proxmox VE and a Linux host; on the appliance itself through its socket, from elsewhere
 * over TCP, with TLS and the machine's certificate where the door asks for them. Pure. Names of volumes need no quoting; paths are quoted.
 */
import type { WireDoors } from "../../contract/contract.ts";
import { CERTIFICATE_DIR, hostText, optionValue, shellWord, uriValue } from "./shell-words.ts";

export type Door =
  // `byUser`: its clients need no more than to be a user that has a credential.
  | { kind: "unix"; path: string; byUser?: true }
  | { kind: "tcp"; host: string; port: number; tls: boolean; credentials: boolean };

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

/** The doors of an appliance. @param ownHost - as the browser reached it: what stands for an address that means all of them */
export function doorChoices(doors: WireDoors, ownHost: string): Door[] {
  return [
    { kind: "unix", path: doors.socketPath },
    ...doors.nbd.map((door): Door => ({
      kind: "tcp",
      ...door,
      host: door.host === "0.0.0.0" || door.host === "::" ? ownHost : door.host,
    })),
    ...(doors.localSocketPath === undefined
      ? []
      : [{ kind: "unix", path: doors.localSocketPath, byUser: true } satisfies Door]),
  ];
}

/** A door as people name it. */
export function doorLabel(door: Door): string {
  if (door.kind === "unix") return `on the appliance itself${door.byUser ? ", as another user than root" : ""}`;
  return `from ${isLocal(door.host) ? "this machine" : "other machines"}, ${hostPort(door)}`;
}

export function connectCommands(client: ConnectClient, volume: string, door: Door): ConnectCommand[] {
  switch (client) {
    case "qemu":
      return [
        {
          title: "Start a VM on it",
          hint: "Writes of the VM go straight to the volume.",
          text: `qemu-system-x86_64 … \\\n  ${qemuWords(volume, door, shellWord).join(" \\\n  ")}`,
        },
        copyIn(volume, door),
      ];
    case "proxmox":
      return [
        {
          title: "Give it to a VM",
          hint: "As root on the node, with the VM stopped; 100 is the VM's number. It becomes one more virtio disk.",
          // Proxmox takes the text apart as a shell would, so it is quoted once for each of them.
          text: `qm set 100 --args ${shellWord(qemuWords(volume, door, doubleQuoted).join(" "))}`,
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

/**
 * Lets a user of the appliance's own system at a volume's machine, as root there. A credential belongs to a machine, so one of the volume's name is made when none has it.
 * @param machine - that it belongs to
 */
export function userCommand(volume: string, machine: string | undefined): string {
  const first = machine === undefined ? `sternway machine add ${volume} ${volume}\n` : "";
  return `${first}sternway credential add ${machine ?? volume} --user libvirt-qemu --write`;
}

/** What a certificate came as. */
export interface CertificatePems {
  certificatePem: string;
  keyPem: string;
  authorityPem: string;
}

/** The three files of a certificate, by the names that QEMU and libnbd want. */
export function certificateFiles(made: CertificatePems): { name: string; text: string }[] {
  const file = (name: string, pem: string) => ({ name, text: `${pem.trim()}\n` });
  return [
    file("ca-cert.pem", made.authorityPem),
    file("client-cert.pem", made.certificatePem),
    file("client-key.pem", made.keyPem),
  ];
}

/** Writes them where the commands look for them. */
export function certificateCommand(made: CertificatePems): string {
  return [
    `install -d -m 0700 ${CERTIFICATE_DIR} && umask 077`,
    ...certificateFiles(made).map(({ name, text }) => `cat > ${CERTIFICATE_DIR}/${name} <<'END'\n${text}END`),
  ].join("\n");
}

function copyIn(volume: string, door: Door): ConnectCommand {
  const command =
    door.kind === "tcp" && door.tls
      ? `qemu-img convert -n -p --object ${tlsObject()} --target-image-opts \\\n  disk.qcow2 ${shellWord(`driver=nbd,${server(door)},export=${volume},tls-creds=sternway`)}`
      : `qemu-img convert -n -p -O raw disk.qcow2 ${shellWord(uri(volume, door))}`;
  return {
    title: "Or bring an existing disk in first",
    hint: "With the machine off. The volume must be at least as large as the disk.",
    text: command,
  };
}

function qemuWords(volume: string, door: Door, quoted: (word: string) => string): string[] {
  const node = "sternway0";
  const tls = door.kind === "tcp" && door.tls;
  return [
    ...(tls ? [`-object ${tlsObject()}`] : []),
    `-blockdev ${quoted(`driver=nbd,node-name=${node},${server(door)},export=${volume},reconnect-delay=60,discard=unmap,cache.direct=on${tls ? ",tls-creds=sternway" : ""}`)}`,
    `-device virtio-blk-pci,drive=${node},serial=${volume.slice(0, 20)}`,
  ];
}

function server(door: Door): string {
  return door.kind === "unix"
    ? `server.type=unix,server.path=${optionValue(door.path)}`
    : `server.type=inet,server.host=${door.host},server.port=${door.port}`;
}

const tlsObject = (): string => `tls-creds-x509,id=sternway,endpoint=client,dir=${CERTIFICATE_DIR}`;

function uri(volume: string, door: Door): string {
  return door.kind === "unix"
    ? `nbd+unix:///${volume}?socket=${uriValue(door.path)}`
    : `nbd://${hostPort(door)}/${volume}`;
}

function nbdClient(volume: string, door: Door): string {
  if (door.kind === "unix") return `nbd-client -unix ${shellWord(door.path)} /dev/nbd0 -name ${volume} -persist`;
  const certificate = door.credentials
    ? ` -certfile ${CERTIFICATE_DIR}/client-cert.pem -keyfile ${CERTIFICATE_DIR}/client-key.pem`
    : "";
  const tls = door.tls ? ` \\\n  -cacertfile ${CERTIFICATE_DIR}/ca-cert.pem${certificate}` : "";
  return `nbd-client ${door.host} ${door.port} /dev/nbd0 -name ${volume} -persist${tls}`;
}

const hostPort = ({ host, port }: { host: string; port: number }): string => `${hostText(host)}:${port}`;

const isLocal = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");

/** A word in Proxmox's own list, which stands in single quotes. */
function doubleQuoted(word: string): string {
  return shellWord(word) === word ? word : `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** What a vault is opened with. */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { ObserveSealing } from "../security/cipher.ts";
import type { Secret } from "../security/secret.ts";
import type { StartSealer } from "./sealing/sealer-runner.ts";
import type { SealProgress } from "./sealing/sealing.ts";
import type { RestoreFile, Vault } from "./vault.ts";

export interface VaultOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's folder; made if it does not exist. */
  dir: string;
  /** Default: on the caller's thread. */
  sealer?: StartSealer;
  /** Encrypts a vault that is made, for good; what unlocks it from then on. The caller wipes it once the vault is open. */
  encrypt?: Secret | undefined;
  /** Unlocks an encrypted vault; default: what `encrypt` says. The caller wipes it once the vault is open. */
  unlock?: Secret | undefined;
  /** The same vault as it was opened from another folder: this one opens with its key. */
  openedAs?: Vault | undefined;
  /** Refuse, before anything is written, to open a vault that is not encrypted. */
  mustBeEncrypted?: boolean;
  /** Size of journal files for a new vault, bytes. Default 64 MiB: one stretch fills one pack. */
  journalFileBytes?: number;
  /** Default 32. */
  journalFilesMax?: number;
  /** Payload pages of one group, up to 1,024. Default 1,024 (4 MiB). */
  groupPages?: number;
  /** Default 64 (256 KiB). */
  groupEagerPages?: number;
  /** Default 5. */
  groupLingerMs?: number;
  /** A journal file is sealed at the latest so long after its first write. Default 5 minutes. */
  sealAfterMs?: number;
  /** Decoded map pages. Default 64 MiB. */
  pageCacheBytes?: number;
  /** Decompressed frames. Default 64 MiB. */
  frameCacheBytes?: number;
  /** The sealer's own. Default 32 MiB. */
  sealerCacheBytes?: number;
  /** For each TiB of unique data. Default 256 MiB. */
  indexBudgetBytes?: number;
  /** What merging, thinning and images may read and write a second while clients write, unless merges are overdue. Default 64 MiB. */
  mergeBytesPerSecond?: number;
  /** Entries of layers that one slice of merging or surveying passes: what sealing may have to wait for. Default 2^20, some 100 ms. */
  sliceEntries?: number;
  /** What collecting may read and write a second while clients write. Default 64 MiB. */
  collectBytesPerSecond?: number;
  /** Collecting begins by itself when so many blocks' addresses were dropped … Default 65,536: 256 MiB. */
  collectDroppedMin?: number;
  /** … and this share of all that packs hold, 0 to 1. Default 0.125. */
  collectDroppedShare?: number;
  /** Disk space that journal growth leaves free. Default 1 GiB. */
  reserveBytes?: number;
  /** Entries in a shard since its last image that make the next one due. Default 65,536. */
  imageEntriesMin?: number;
  /** Open without writing anything: for checking a stopped vault, and for reading one whose writer is elsewhere. */
  readOnly?: boolean;
  /** Why, for people. Default: that it was opened for reading. */
  readOnlyReason?: string | undefined;
  /** Another installation wrote to it before, and what that gave out last is not known here. */
  takesOver?: boolean;
  /** Brings back a sealed file that is damaged or missing, from another place that holds it. */
  restoreFile?: RestoreFile | undefined;
  onTrouble?: (error: SternwayError | undefined) => void;
  onSealed?: (progress: SealProgress) => void;
  /** Test hooks; none is set outside of tests. */
  plant?: Plants;
}

/** Defects to be planted, to show that the tests find them. */
export interface Plants {
  /** Breaks law 4: takes equal fingerprints for equal blocks. */
  trustFingerprints?: boolean;
  /** Breaks nothing by itself: proposes duplicates by so few bits of the fingerprint that strangers meet often. */
  fingerprintBits?: number;
  /** Breaks law 5: publishes a manifest that names a stretch's pack and layer before they are written. */
  manifestFirst?: boolean;
  /** Breaks law 1: answers a flush before what it covers is durable. */
  answerEarly?: boolean;
  /** Breaks nothing: is told of each use of a key and a nonce. */
  onSeal?: ObserveSealing;
}

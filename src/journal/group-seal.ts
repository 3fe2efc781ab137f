/**
 * Sealing a journal group in an encrypted vault, and opening it again; format.ts says where what lies, security/cipher.ts why no nonce comes twice.
 * The counter of a part is the group's sequence; its part is the payload page's number, or {@link PART_HEAD} for entries and prints.
 */
import type { FileCipher, VaultCipher } from "../security/cipher.ts";
import { TAG_BYTES } from "../security/cipher.ts";
import { GROUP_PAGES_MAX, HEADER_SIZE, PAGE_SIZE, sealsOffset, type GroupHeader } from "./format.ts";

/** Above every payload page's number. */
const PART_HEAD = GROUP_PAGES_MAX;
/** What the header's checksum will overwrite is not bound. */
const BOUND_HEADER_BYTES = HEADER_SIZE - 8;
const NOTHING = new Uint8Array(0);

/** The cipher of one use of a journal file by one writer. */
export function journalCipher(
  cipher: VaultCipher,
  { fileSequence, epoch, writerSalt }: Pick<GroupHeader, "fileSequence" | "epoch"> & { writerSalt: Uint8Array },
): FileCipher {
  return cipher.file({ kind: "journal", number: fileSequence, generation: epoch, salt: writerSalt });
}

/** Opens single payload pages of one written group. Holds their tags: 16 bytes a page. */
export class GroupSeal {
  readonly #cipher: FileCipher;
  readonly #groupSequence: number;
  readonly #tags: Uint8Array;

  /** @param tags - of the payload pages; the seal's own */
  constructor(cipher: FileCipher, groupSequence: number, tags: Uint8Array) {
    this.#cipher = cipher;
    this.#groupSequence = groupSequence;
    this.#tags = tags;
  }

  /** Opens payload pages in place, from `firstPage` on. @returns false: one of them is not what was written */
  openPages(bytes: Uint8Array, firstPage: number): boolean {
    for (let i = 0; i * PAGE_SIZE < bytes.length; i++) {
      const page = bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE);
      const tag = this.#tags.subarray((firstPage + i) * TAG_BYTES, (firstPage + i + 1) * TAG_BYTES);
      if (!this.#cipher.open(this.#groupSequence, firstPage + i, page, NOTHING, tag, page)) return false;
    }
    return true;
  }
}

/** The sizes that say where the parts of a group lie. */
type GroupShape = Pick<GroupHeader, "groupSequence" | "entryCount" | "payloadBytes" | "headerBytes">;

/**
 * Seals a group whose header, entries and prints lie in `out` and whose payload lies elsewhere.
 * @param out - the group as it will be written; gets the sealed payload, the seals, and entries and prints sealed in place
 */
export function sealGroup(cipher: FileCipher, shape: GroupShape, payload: Uint8Array, out: Uint8Array): GroupSeal {
  const { groupSequence, entryCount, headerBytes } = shape;
  const pageCount = payload.length / PAGE_SIZE;
  const seals = sealsOffset(entryCount, pageCount);
  const tags = out.subarray(seals + TAG_BYTES, seals + (1 + pageCount) * TAG_BYTES);
  for (let page = 0; page < pageCount; page++) {
    const at = page * PAGE_SIZE;
    const into = out.subarray(headerBytes + at, headerBytes + at + PAGE_SIZE);
    const tag = tags.subarray(page * TAG_BYTES, (page + 1) * TAG_BYTES);
    cipher.seal(groupSequence, page, payload.subarray(at, at + PAGE_SIZE), NOTHING, into, tag);
  }
  const head = out.subarray(HEADER_SIZE, seals);
  const own = out.subarray(seals, seals + TAG_BYTES);
  cipher.seal(groupSequence, PART_HEAD, head, boundOf(out, tags), head, own);
  return new GroupSeal(cipher, groupSequence, new Uint8Array(tags));
}

/**
 * Opens entries, prints and payload in place.
 * @param whole - header and payload of a group whose header was proved
 * @returns undefined: they are not what was written
 */
export function openGroup(cipher: FileCipher, header: GroupShape, whole: Uint8Array): GroupSeal | undefined {
  const { groupSequence, entryCount, payloadBytes, headerBytes } = header;
  const pageCount = payloadBytes / PAGE_SIZE;
  const seals = sealsOffset(entryCount, pageCount);
  const tags = new Uint8Array(whole.subarray(seals + TAG_BYTES, seals + (1 + pageCount) * TAG_BYTES));
  const head = whole.subarray(HEADER_SIZE, seals);
  const own = whole.subarray(seals, seals + TAG_BYTES);
  if (!cipher.open(groupSequence, PART_HEAD, head, boundOf(whole, tags), own, head)) return undefined;
  const seal = new GroupSeal(cipher, groupSequence, tags);
  return seal.openPages(whole.subarray(headerBytes, headerBytes + payloadBytes), 0) ? seal : undefined;
}

function boundOf(group: Uint8Array, tags: Uint8Array): Uint8Array {
  const bound = new Uint8Array(BOUND_HEADER_BYTES + tags.length);
  bound.set(group.subarray(0, BOUND_HEADER_BYTES));
  bound.set(tags, BOUND_HEADER_BYTES);
  return bound;
}

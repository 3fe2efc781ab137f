/**
 * Publishes manifests, one after another, each linked to the one before. The newest durable one is the truth of what a vault holds.
 */
import type { Disk } from "../../base/disk.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { publishManifest, type Manifest } from "../manifest.ts";

export class Publishing {
  private readonly disk: Disk;
  private readonly dir: string;
  private readonly cipher: VaultCipher | undefined;
  private readonly onPublished: () => void;
  private current: Manifest;
  private hash: string;
  /** A finished step whose manifest could not be published: nobody knows whether that reached the disk. */
  private unpublished: { next: Manifest; published: () => void } | undefined;

  /**
   * @param dir - of the manifests
   * @param cipher - where the vault is encrypted
   * @param hash - of the current manifest's file
   * @param onPublished - told whenever another manifest has become the newest durable one; must not throw
   */
  constructor(
    disk: Disk,
    dir: string,
    cipher: VaultCipher | undefined,
    current: Manifest,
    hash: string,
    onPublished: () => void,
  ) {
    this.disk = disk;
    this.dir = dir;
    this.cipher = cipher;
    this.current = current;
    this.hash = hash;
    this.onPublished = onPublished;
  }

  /** SHA-256 of the newest manifest's file. */
  get sha256(): string {
    return this.hash;
  }

  get manifest(): Manifest {
    return this.current;
  }

  /** Publishes the current content again with changes; durable when it resolves. @throws unavailable */
  async publish(changes: Partial<Manifest>): Promise<void> {
    await this.publishAs(this.following(changes));
  }

  /**
   * Publishes what a step made. An error leaves open whether the manifest is there after a crash, so the files it names must stay as they
   * are: until it is published nothing else is done, and the step is not made again under the same numbers (law 5).
   * @param published - called once, when it is durable @throws unavailable
   */
  async complete(changes: Partial<Manifest>, published: () => void): Promise<void> {
    this.unpublished = { next: this.following(changes), published };
    await this.publishLast();
  }

  /** Tries again what {@link complete} could not. @returns false: nothing waits @throws unavailable */
  async publishLast(): Promise<boolean> {
    const { unpublished } = this;
    if (!unpublished) return false;
    await this.publishAs(unpublished.next);
    this.unpublished = undefined;
    unpublished.published();
    return true;
  }

  private following(changes: Partial<Manifest>): Manifest {
    const { clean: _, ...rest } = this.current;
    return { ...rest, ...changes, number: this.current.number + 1, previous: this.hash };
  }

  private async publishAs(next: Manifest): Promise<void> {
    this.hash = await publishManifest(this.disk, this.dir, next, this.cipher);
    this.current = next;
    this.onPublished();
  }
}

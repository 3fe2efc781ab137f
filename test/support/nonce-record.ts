/** Notes every use of a key and a nonce, and what was sealed with it: no pair may come twice with different text. */
import type { ObserveSealing } from "../../src/security/cipher.ts";

export class NonceRecord {
  uses = 0;
  /** Pairs that came again with another text, as hexadecimal. */
  readonly repeats: string[] = [];
  private readonly texts = new Map<string, bigint>();

  readonly observe: ObserveSealing = (key, nonce, plain) => {
    this.uses++;
    const pair = Buffer.concat([key, nonce]).toString("hex");
    const text = Bun.hash.xxHash64(plain, 1n);
    const known = this.texts.get(pair);
    if (known === undefined) this.texts.set(pair, text);
    else if (known !== text) this.repeats.push(pair);
  };
}

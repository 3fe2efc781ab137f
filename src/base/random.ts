/** Randomness comes in through this door in rooms 0 to 4, so that a seed replays a run. */
export interface Random {
  /** Uniform integer in [0, below). */
  below(below: number): number;
  /** Uniform in [0, 1). */
  unit(): number;
  bytes(length: number): Uint8Array;
}

/** Cryptographic randomness for identities and seeds. */
export const systemRandom: Random = {
  below: (below) => Math.floor(systemRandom.unit() * below),
  unit: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

/** A small fast generator (sfc32) for simulations and tests: the same seed gives the same run. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return {
    below: (below) => Math.floor(next() * below),
    unit: next,
    bytes(length) {
      const out = new Uint8Array(length);
      for (let i = 0; i < length; i++) out[i] = next() * 256;
      return out;
    },
  };
}

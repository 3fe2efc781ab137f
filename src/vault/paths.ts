/** Where a vault's files lie beneath its directory. Packs: see packPath. */
export const layerPath = (id: number): string => `layers/${String(id).padStart(10, "0")}.layer`;
export const chroniclePath = (id: number): string => `chronicles/${String(id).padStart(10, "0")}.chronicle`;

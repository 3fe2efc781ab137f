/** A text as a QR code, drawn as the path of a vector image: one unit for each module, in the quiet zone that the standard asks for. */
import { encode } from "uqr";

/** ISO/IEC 18004, 9.1: light modules on each side, without which readers do not find the code. */
const QUIET = 4;

export interface QrPath {
  /** Of a side, with the quiet zone. */
  size: number;
  /** Of the dark modules. */
  path: string;
}

/** @param text - what readers give back */
export function qrPath(text: string): QrPath {
  // M survives the smudges of a screen; a higher one only makes the modules smaller.
  const { size, data } = encode(text, { ecc: "M", border: 0 });
  const runs = data.flatMap((row, y) =>
    row.flatMap((isDark, x) => {
      if (!isDark || row[x - 1] === true) return [];
      const end = row.indexOf(false, x);
      return [`M${x + QUIET} ${y + QUIET}h${(end === -1 ? size : end) - x}v1H${x + QUIET}z`];
    }),
  );
  return { size: size + 2 * QUIET, path: runs.join("") };
}

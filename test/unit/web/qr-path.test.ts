import { expect, test } from "bun:test";
import { qrPath } from "../../../src/web/console/qr-path.ts";

const URI =
  "otpauth://totp/Sternway:anna?issuer=Sternway&secret=NV7LZJ3PF5XTRRTX5FP3JZL7VNHDBBDH&algorithm=SHA1&digits=6&period=30";
/** What another program (libqrencode, `qrencode -8 -l M`) makes of it: 45 rows of 45 bits. */
const EXPECTED = `
1fc8de0b497f 104807720a41 175b5001fa5d 17551f84035d 175931f8f75d 105789148841 1fd55555557f 0017a31ff700 17ce99f4877c
041a74abcb87 1964ca1efcca 1536d8399bef 0e49eee0ce8b 1cafa08063a1 1dc3e77c9fb6 163ff682bb8c 1f7e9f74a80d 1e14e7aac9ba
1ed1a310e4ae 14b96c077c16 03f31df8a1fa 1d195b1bc31f 1152a5562f56 0519df19c51f 0df3e5fc25f8 050ffff8d2ad 1343a064553e
169abf9ff4ed 09d352382c92 0ca8550a600d 0af052620586 1e0fb39a7a6c 19dca610a52e 0fb05ffaf0cb 01792583b89c 0f0b279df3ed
134629fce5fe 0011d919e117 1fcc49561d56 10544713a11e 1750b9f82bf1 1755a59ad04f 1756118c5d0e 104e157dd33c 1fd272f425ea`;

/** The modules that a path paints, as rows of `#` and spaces, the way a browser would follow it. */
function painted({ size, path }: { size: number; path: string }): string[] {
  const rows = Array.from({ length: size }, () => Array.from({ length: size }, () => " "));
  const run = /M(\d+) (\d+)h(\d+)v1H(\d+)z/y;
  for (let at = 0; at < path.length; at = run.lastIndex) {
    const [x = NaN, y = NaN, length = NaN, back = NaN] = (run.exec(path) ?? []).slice(1).map(Number);
    expect([at, back]).toEqual([at, x]);
    for (let i = 0; i < length; i++) rows[y]![x + i] = "#";
  }
  return rows.map((row) => row.join(""));
}

test("qrPath() paints what another program makes of the same text, in four light modules on each side", () => {
  const drawn = qrPath(URI);
  const quiet = " ".repeat(4);
  const rows = EXPECTED.trim()
    .split(/\s+/)
    .map((row) => BigInt(`0x${row}`).toString(2).padStart(45, "0").replaceAll("0", " ").replaceAll("1", "#"));
  const empty = Array.from({ length: 4 }, () => " ".repeat(53));
  expect(drawn.size).toBe(53);
  expect(painted(drawn)).toEqual([...empty, ...rows.map((row) => quiet + row + quiet), ...empty]);
});

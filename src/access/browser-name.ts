/**
 * A browser's name in short, such as `Firefox on Linux`, out of the header `user-agent`: for a person who looks at where he is signed in, and wants to know
 * which of them is the phone. Whoever asks chooses that header himself, so nothing follows from it, and of its text only a plain word ever gets through.
 */

/** In this order: each browser names those that it descends from, too. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdgA?\//, "Edge"],
  [/\bEdgiOS\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|HeadlessChrome|CriOS)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];
/** Longer ones are looked at as far as this: no browser's own is. */
const LENGTH_MAX = 512;

/** @param userAgent - the header as it came @returns up to 64 plain characters; empty: it says nothing that we know */
export function browserName(userAgent: string | null): string {
  const text = (userAgent ?? "").slice(0, LENGTH_MAX);
  const named = (names: typeof BROWSERS): string | undefined => names.find(([pattern]) => pattern.test(text))?.[1];
  const browser = named(BROWSERS);
  const system = named(SYSTEMS);
  if (browser !== undefined) return system === undefined ? browser : `${browser} on ${system}`;
  return /^[A-Za-z][A-Za-z0-9._-]{0,31}(?=\/|$)/.exec(text)?.[0] ?? "";
}

/** Words of commands that people paste: as a shell takes them, and as QEMU takes the values of its options. Pure. */

/** Where a client keeps the three files of its certificate, named as QEMU and libnbd want them. */
export const CERTIFICATE_DIR = "/etc/sternway-client";

/** One word for a shell: as it is where nothing in it means something there, else in single quotes. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A value in a list of QEMU's options, where a comma separates and two stand for one. */
export function optionValue(text: string): string {
  return text.replaceAll(",", ",,");
}

/** As part of a URI's query: what would end it or begin the next part is escaped. */
export function uriValue(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("'", "%27");
}

/** Of an address in a URI: one of IPv6 stands in brackets. */
export function hostText(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

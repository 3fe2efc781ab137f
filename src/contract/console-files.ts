/** The console's files as the room that makes them gives them to the one that sends them. */

/** One file as it is sent. */
export interface ConsoleFile {
  type: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** The same, compressed; absent where that gains nothing. */
  gzip?: Uint8Array<ArrayBuffer>;
  /** Quoted, as in the header. */
  etag: string;
  /** Its name never means anything else. */
  immutable: boolean;
}

export interface ConsoleFiles {
  /** What a path of `/assets/` gives. @param path - with its slashes, such as `/assets/main-1a2b3c4d.js` */
  asset(path: string): Promise<ConsoleFile | undefined>;
  /** The page for every path of the console. */
  shell(): Promise<ConsoleFile>;
}

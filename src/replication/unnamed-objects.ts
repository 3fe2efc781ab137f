/** Objects at a tier that its newest manifest does not name any more. They stay for a while, for those who read from the manifest before. */
export class UnnamedObjects {
  /** Since when, in monotonic microseconds. */
  private readonly since = new Map<string, number>();

  /** Takes note of what is named now, and says what was not for long enough. @param have - all that is there @param now - monotonic microseconds */
  due(have: Iterable<string>, wanted: { has(name: string): boolean }, now: number, graceMs: number): string[] {
    const due: string[] = [];
    for (const name of have) {
      if (wanted.has(name)) {
        this.since.delete(name);
        continue;
      }
      const since = this.since.get(name) ?? now;
      this.since.set(name, since);
      if (now - since >= graceMs * 1000) due.push(name);
    }
    return due;
  }

  /** It is removed. */
  forget(name: string): void {
    this.since.delete(name);
  }
}

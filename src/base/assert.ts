/**
 * Assertions guard against programmers' mistakes and stay on in production. Bytes from disk,
 * network or people never meet one: those give a typed {@link SternwayError}.
 */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`);
    this.name = "AssertionError";
  }
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

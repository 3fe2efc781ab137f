/** An S3 store on a server that can be told to misbehave, and what is expected of its failures. */
import { expect } from "bun:test";
import { isSternwayError, SternwayError, type ErrorKind } from "../../src/base/errors.ts";
import type { S3StoreOptions } from "../../src/tiers/s3/s3-options.ts";
import { S3Store } from "../../src/tiers/s3/s3-store.ts";
import { CountingClock } from "./counting-clock.ts";
import { RunningClock } from "./running-clock.ts";
import { S3Server, type S3Fault } from "./s3-server.ts";
import { failure } from "./store-expectations.ts";

/** Where nothing is meant to hang: server and store share a thread here, and one body's checksum holds it up. */
const PATIENT_MS = 20_000;
/** Where something hangs, so that it is soon given up. */
export const IDLE_MS = 300;
/** A put in parts that hangs may spend two idle limits, and a stalling machine more; a patient store waits longer. */
const CALL_MS_MAX = 18_000;

export interface S3Bed {
  server: S3Server;
  store: S3Store;
  /** Another one on the same place, with other options. */
  open(more?: Partial<S3StoreOptions>): S3Store;
}

/** On a store that is attached; afterwards none of its timers waits. */
export async function onS3(body: (bed: S3Bed) => Promise<void>, more: Partial<S3StoreOptions> = {}): Promise<void> {
  await using server = await S3Server.start();
  const { endpoint, region, bucket, key: credentials } = server;
  const clock = new CountingClock(new RunningClock());
  const base = { endpoint, region, bucket, prefix: "v", credentials, clock, idleLimitMs: PATIENT_MS };
  const open = (over: Partial<S3StoreOptions> = {}): S3Store => new S3Store({ ...base, ...more, ...over });
  const store = open();
  await store.attach("vault");
  await body({ server, store, open });
  await store.close();
  expect(clock.timerCount).toBe(0);
}

/** Expects that error, in time. */
export async function failed(work: Promise<unknown>, kind: ErrorKind): Promise<SternwayError> {
  const from = performance.now();
  const error = await failure(work);
  if (!isSternwayError(error)) throw error;
  expect(`${error.kind}: ${error.message}`).toStartWith(`${kind}: `);
  expect(performance.now() - from).toBeLessThan(CALL_MS_MAX);
  return error;
}

/** A refusal with that code. */
export const code = (status: number, name?: string): S3Fault =>
  name === undefined ? { status } : { status, code: name };

/* What the comparison asks of another queue. Each runs in the benchmark's process, on a pool of connections given to it. */
import type { Pool } from 'pg';

export interface OtherQueue {
  readonly name: string;
  /** In words, for the report. */
  readonly settings: string;
  /** Makes its tables. */
  open(pool: Pool): Promise<OpenQueue>;
}

export interface OpenQueue {
  /** Enqueues so many no-op jobs; durable when it resolves. */
  enqueue(jobs: number): Promise<void>;
  /** Works on them until all are completed in the database. */
  process(jobs: number): Promise<void>;
  close(): Promise<void>;
}

export const BATCH = 1000;

/** Sizes of the batches that make up so many jobs. */
export function batchesOf(jobs: number): number[] {
  return Array.from({ length: Math.ceil(jobs / BATCH) }, (_, place) => Math.min(BATCH, jobs - place * BATCH));
}

/** Who does a job's units: the calling thread alone, or several threads (`KernelPool`). */
import { P256Engine } from './p256Engine.ts';
import { type P256Job, unitCount } from './p256Job.ts';

export interface Executor {
  /** How many threads share a job. */
  readonly threads: number;
  /** The calling thread's own instance, for what is not worth sharing. */
  readonly engine: P256Engine;
  /** Does all units of a job before it returns. The job's arrays must come from `share` or `allocate`. */
  run(job: P256Job): void;
  /** The same octets where all of the executor's threads can see them; not for writing. */
  share(octets: Uint8Array): Uint8Array;
  /** New zero octets for results. */
  allocate(length: number): Uint8Array;
  allocateIntegers(length: number): Int32Array;
}

/** All units one after the other, here. */
export class InlineExecutor implements Executor {
  readonly threads = 1;
  readonly engine: P256Engine;

  constructor(engine: P256Engine = new P256Engine()) {
    this.engine = engine;
  }

  run(job: P256Job): void {
    const units = unitCount(job);
    for (let unit = 0; unit < units; unit++) this.engine.run(job, unit);
  }

  share(octets: Uint8Array): Uint8Array {
    return octets;
  }

  allocate(length: number): Uint8Array {
    return new Uint8Array(length);
  }

  allocateIntegers(length: number): Int32Array {
    return new Int32Array(length);
  }
}

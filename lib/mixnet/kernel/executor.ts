/** Who does a job's units: the calling thread alone, or several threads (`KernelPool`). */
import { KernelEngines, type KernelJob, kernelUnitCount } from './kernel-engines.ts';

export interface Executor {
  /** How many threads share a job. */
  readonly threads: number;
  /** The calling thread's own instances, for what is not worth sharing. */
  readonly engines: KernelEngines;
  /** Does all units of a job before it returns. The job's arrays must come from `share` or `allocate`. */
  run(job: KernelJob): void;
  /** The same octets where all of the executor's threads can see them; not for writing. */
  share(octets: Uint8Array): Uint8Array;
  /** New zero octets for results. */
  allocate(length: number): Uint8Array;
  allocateIntegers(length: number): Int32Array;
}

/** All units one after the other, here. */
export class InlineExecutor implements Executor {
  readonly threads = 1;
  readonly engines: KernelEngines;

  constructor(engines: KernelEngines = new KernelEngines()) {
    this.engines = engines;
  }

  run(job: KernelJob): void {
    const units = kernelUnitCount(job);
    for (let unit = 0; unit < units; unit++) this.engines.run(job, unit);
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

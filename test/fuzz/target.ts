/*
 * One parser under fuzzing: inputs for it, and what it may answer. It may accept, or throw the class of errors that it
 * documents; it may not crash otherwise, take long, or take much memory. A failure prints the seed that repeats it.
 */
import fc from 'fast-check';

export interface Target<Input = never> {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Input>;
  /** Throws, or rejects, with what is wrong; or gives an answer that the target itself has checked. */
  readonly run: (input: Input) => unknown;
  /** Whether this error is the documented one for bad input. */
  readonly refuses: (thrown: unknown) => boolean;
  /** How much dearer than a plain parser one run is: it is tried so many times less. */
  readonly cost?: number;
  /** CPU time that one input may take, in milliseconds. */
  readonly most?: number;
}

/** For lists of targets of different inputs. */
// biome-ignore lint/suspicious/noExplicitAny: every target checks its own inputs
export type AnyTarget = Target<any>;

export function target<Input>(of: Target<Input>): AnyTarget {
  return of;
}

const MOST_MILLISECONDS = 2000;
const MOST_BYTES = 192 * 2 ** 20;

/** Something that a parser may not do. */
export class Misbehaviour extends Error {}

async function once(of: AnyTarget, input: unknown): Promise<void> {
  const cpu = process.cpuUsage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  try {
    await of.run(input);
  } catch (thrown) {
    if (!of.refuses(thrown)) {
      const said = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      throw new Misbehaviour(`an error of no documented kind: ${said}`, { cause: thrown });
    }
  }
  const { user } = process.cpuUsage(cpu);
  const most = of.most ?? MOST_MILLISECONDS;
  if (user / 1000 > most) throw new Misbehaviour(`it took ${user / 1000} ms of CPU, more than ${most}`);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - heapUsed - arrayBuffers;
  if (grown > MOST_BYTES) throw new Misbehaviour(`it took ${grown} bytes of memory`);
  if (({} as { polluted?: unknown }).polluted !== undefined)
    throw new Misbehaviour('a prototype was changed');
}

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** Ends earlier. */
  readonly milliseconds?: number;
}

/** Resolves with the number of inputs tried. @throws Error that names the target, the seed and the shortened input */
export async function fuzz(of: AnyTarget, { seed, runs, milliseconds }: FuzzOptions): Promise<number> {
  const time = milliseconds === undefined ? {} : { interruptAfterTimeLimit: milliseconds };
  const result = await fc.check(
    fc.asyncProperty(of.inputs, (input) => once(of, input)),
    { seed, numRuns: runs, ...time },
  );
  if (result.failed && result.counterexample !== null) {
    const again = `npm run fuzz -- --target '${of.name}' --seed ${seed} --path ${result.counterexamplePath}`;
    const input = fc.stringify(result.counterexample[0]).slice(0, 4000);
    const reason = result.errorInstance instanceof Error ? result.errorInstance.message : 'it failed';
    throw new Error(`${of.name}: ${reason}\nagain: ${again}\ninput: ${input}`, {
      cause: result.errorInstance,
    });
  }
  return result.numRuns;
}

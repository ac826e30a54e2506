/*
 * Preloaded into a node's process, and so into each of its threads: writes down every secret where it is made, for
 * `secrets.test.ts` to look for. One line of JSON for each, in a file of its own for each thread, outside the node.
 */
import crypto, { type CipherGCM } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { ScalarRing } from '../../lib/mixnet/groups/scalar-ring.ts';

/** One secret: what it is, where in the sources it was made, its octets in hex. */
export interface Recorded {
  readonly what: 'octets' | 'scalar' | 'permutation' | 'sealed';
  readonly origin: string;
  readonly hex: string;
}

const file = join(process.env.SECRETS_ARE_RECORDED_IN!, `${process.pid}-${threadId}`);

function record(what: Recorded['what'], origin: string, bytes: Uint8Array): void {
  const line: Recorded = { what, origin, hex: Buffer.from(bytes).toString('hex') };
  appendFileSync(file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
}

/** The first of our sources on the stack; null: somebody else's randomness. */
function origin(): string | null {
  const frames = new Error('here').stack!.split('\n').filter((frame) => !frame.includes('secrets-record'));
  const [, path] = /\/((?:lib|tasks)\/[\w./-]+\.ts):/.exec(frames[1] ?? '') ?? [];
  return path ?? null;
}

const { randomBytes, createCipheriv, hkdfSync } = crypto;
let context = '';

Object.assign(crypto, {
  randomBytes(size: number, ...rest: []): Buffer {
    const made = randomBytes(size, ...rest);
    const from = origin();
    if (from !== null && size >= 16) record('octets', from, made);
    return made;
  },
  hkdfSync(...args: Parameters<typeof hkdfSync>): ArrayBuffer {
    context = String(args[3]);
    return hkdfSync(...args);
  },
  createCipheriv(...args: Parameters<typeof createCipheriv>): CipherGCM {
    const cipher = createCipheriv(...args) as CipherGCM;
    const of = context;
    const { update } = cipher;
    cipher.update = function recorded(this: CipherGCM, ...data: [Uint8Array]): Buffer {
      record('sealed', of, data[0]);
      return update.apply(this, data as never) as unknown as Buffer;
    } as typeof update;
    return cipher;
  },
});
syncBuiltinESMExports();

const { random, randomBits } = ScalarRing.prototype;
function recordScalars<T extends { readonly bytes: Uint8Array }>(ring: ScalarRing, made: T): T {
  for (let at = 0; at < made.bytes.length; at += ring.width)
    record('scalar', origin() ?? 'unknown', made.bytes.subarray(at, at + ring.width));
  return made;
}
ScalarRing.prototype.random = function recorded(count) {
  return recordScalars(this, random.call(this, count));
};
ScalarRing.prototype.randomBits = function recorded(count, bits) {
  return recordScalars(this, randomBits.call(this, count, bits));
};

/** A permutation begins as the identity; it is written down when the step that made it has ended. */
const { from } = Uint32Array;
Uint32Array.from = function recorded(this: unknown, ...args: never[]) {
  const made = (from as (...given: never[]) => Uint32Array).apply(Uint32Array, args);
  const path = origin();
  if (path === 'lib/mixnet/proofs/permutation.ts')
    setImmediate(() => record('permutation', path, new Uint8Array(made.buffer)));
  return made;
} as typeof from;

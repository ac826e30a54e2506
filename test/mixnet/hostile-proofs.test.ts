/** Random damage and hostile sizes: always refused, never a crash, within bounded time and memory. */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { parseByteTree } from '../../lib/mixnet/byte-tree/mirror.ts';
import { DirectoryProofFiles, type ProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { concatenate, equalOctets, uint32, utf8 } from '../../lib/mixnet/octets.ts';
import {
  type VerificationResult,
  verifyProofDirectory,
} from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { refusalReason } from './refusals.ts';
import { vectorInfo, vectorProof } from './vectors.ts';

const vectors = [
  'p256-k3t2-n10',
  'p256-k3t2-precomp-n8of12',
  'p256-k3t2-shuffle-n10',
  'p256-k3t2-decrypt-n10',
  'p256-k1-width2-n6',
] as const;

const limits = { milliseconds: 5_000, octets: 200 * 2 ** 20 };

/** The outcome; fails if it took too long or too much memory. */
function boundedVerification(files: ProofFiles, vector: string): VerificationResult {
  const before = process.memoryUsage();
  const start = performance.now();
  const result = verifyProofDirectory(files, vectorInfo(vector));
  const after = process.memoryUsage();
  expect(performance.now() - start, 'milliseconds').to.be.below(limits.milliseconds);
  const taken = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed;
  expect(taken, 'octets').to.be.below(limits.octets);
  return result;
}

type Damage = (octets: Uint8Array, at: number, random: number) => Uint8Array;

/** `at` is a place in the file. */
const damages: Readonly<Record<string, Damage>> = {
  bit: (octets, at, random) => patched(octets, at, [octets[at]! ^ (1 << (random % 8))]),
  octet: (octets, at, random) => patched(octets, at, [(octets[at]! + 1 + (random % 255)) & 0xff]),
  zeros: (octets, at) => patched(octets, at, [0, 0, 0, 0]),
  ones: (octets, at) => patched(octets, at, [0xff, 0xff, 0xff, 0xff]),
  'length of 2^31 - 1': (octets, at) => patched(octets, at, [0x7f, 0xff, 0xff, 0xff]),
  'length of 2^31': (octets, at) => patched(octets, at, [0x80, 0, 0, 0]),
  'length of 10^9': (octets, at) => patched(octets, at, [0x3b, 0x9a, 0xca, 0x00]),
  inserted: (octets, at, random) =>
    concatenate(octets.subarray(0, at), Uint8Array.of(random & 0xff), octets.subarray(at)),
  deleted: (octets, at) => concatenate(octets.subarray(0, at), octets.subarray(at + 1)),
  'cut off': (octets, at) => octets.slice(0, at),
  doubled: (octets, at) => concatenate(octets, octets.subarray(at)),
};

function patched(octets: Uint8Array, at: number, values: readonly number[]): Uint8Array {
  const out = octets.slice();
  values.forEach((value, i) => {
    if (at + i < out.length) out[at + i] = value;
  });
  return out;
}

describe('Damaged proofs', () => {
  it('given a valid proof, when a random place of a random file is damaged, then it is refused and nothing breaks', function () {
    this.timeout(20_000);
    const place = fc.record({
      vector: fc.constantFrom(...vectors),
      file: fc.nat(),
      at: fc.nat(),
      how: fc.constantFrom(...Object.keys(damages)),
      random: fc.nat(),
    });
    fc.assert(
      fc.property(place, ({ vector, file, at, how, random }) => {
        const files = vectorProof(vector);
        const names = files.list();
        const name = names[file % names.length]!;
        const octets = files.read(name);
        const damaged = damages[how]!(octets, at % octets.length, random);
        fc.pre(!equalOctets(damaged, octets));
        files.write(name, damaged);
        const { ok, steps } = boundedVerification(files, vector);
        expect(ok, name).to.equal(false);
        expect(steps.at(-1)?.reason ?? steps.find((step) => !step.ok)?.reason).to.be.a('string');
      }),
      { numRuns: 250 },
    );
  });

  it('given a valid proof, when two files change places, then it is refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...vectors), fc.nat(), fc.nat(), (vector, first, second) => {
        const files = vectorProof(vector);
        const names = files.list();
        const [a, b] = [names[first % names.length]!, names[second % names.length]!];
        const [x, y] = [files.read(a), files.read(b)];
        fc.pre(!equalOctets(x, y));
        files.write(a, y);
        files.write(b, x);
        expect(boundedVerification(files, vector).ok, `${a} and ${b}`).to.equal(false);
      }),
      { numRuns: 60 },
    );
  });

  it('given random octets as every file, when verified, then they are refused', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...vectors),
        fc.nat(),
        fc.uint8Array({ maxLength: 400 }),
        (vector, file, octets) => {
          const files = vectorProof(vector);
          const names = files.list();
          files.write(names[file % names.length]!, octets);
          expect(boundedVerification(files, vector).ok).to.equal(false);
        },
      ),
      { numRuns: 100 },
    );
  });
});

/** Nodes of one child, one in the other. */
function deepTree(levels: number): Uint8Array {
  const octets = new Uint8Array(5 * levels);
  for (let i = 0; i < levels; i++) octets[5 * i + 4] = i === levels - 1 ? 0 : 1;
  return octets;
}

/** A node that says it has 10^9 children, and has the two that fit. */
const crowded = concatenate(Uint8Array.of(0), uint32(1_000_000_000), new Uint8Array(200));

describe('Hostile sizes', () => {
  for (const vector of vectors) {
    for (const [what, octets] of [
      ['a tree a million levels deep', deepTree(1_000_000)],
      ['a node of 10^9 children', crowded],
      ['a node of 2^31 children', Uint8Array.of(0, 0x80, 0, 0, 0)],
      ['a leaf of 2^31 - 1 octets', Uint8Array.of(1, 0x7f, 0xff, 0xff, 0xff)],
      ['a leaf of 2^32 - 1 octets', Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff)],
      ['nothing', new Uint8Array(0)],
    ] as const) {
      it(`given ${what} in the place of each file (${vector}), when verified, then it is refused at once`, () => {
        for (const name of vectorProof(vector).list()) {
          const files = vectorProof(vector);
          files.write(name, octets);
          expect(boundedVerification(files, vector).ok, name).to.equal(false);
        }
      });
    }
  }

  it('given a tree a million levels deep, when parsed as a tree of any shape, then it is refused', () => {
    expect(refusalReason(() => parseByteTree(deepTree(1_000_000)))).to.equal('byte-tree-too-deep');
    expect(refusalReason(() => parseByteTree(crowded))).to.equal('byte-tree-truncated');
  });

  it('given a number of ciphertexts of 10^9 by every file that says one, when verified, then none is believed', () => {
    const vector = 'p256-k3t2-precomp-n8of12';
    const files = vectorProof(vector);
    files.write('proofs/maxciph', utf8('999999999'));
    for (const name of files.list().filter((file) => file.endsWith('.bt'))) {
      const octets = files.read(name).slice();
      if (octets[0] === 0) octets.set(uint32(1_000_000_000), 1);
      files.write(name, octets);
    }
    expect(boundedVerification(files, vector).ok).to.equal(false);
  });

  it('given files of a gigabyte that take no room on disk, when verified, then they are not even read', () => {
    const vector = 'p256-k3t2-n10';
    const root = mkdtempSync(join(tmpdir(), 'hostile-'));
    try {
      const proof = vectorProof(vector);
      // The first list is the one whose length nobody else knows.
      for (const huge of proof.list().filter((name) => name !== 'Ciphertexts.bt')) {
        for (const name of proof.list()) {
          const path = join(root, name);
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, proof.read(name));
        }
        const file = openSync(join(root, huge), 'r+');
        ftruncateSync(file, 2 ** 30);
        closeSync(file);
        const { ok, steps } = boundedVerification(new DirectoryProofFiles(root), vector);
        expect(ok).to.equal(false);
        expect(steps.find((step) => !step.ok)?.reason, huge).to.equal('file-too-large');
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

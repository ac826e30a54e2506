import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { PseudoRandomStream } from '../../../lib/mixnet/hashing/random-oracle.ts';
import { sha256Blocks } from '../../../lib/mixnet/kernel/sha256-stream.ts';

/** `Hash(seed || counter)` for each counter, by OpenSSL. */
function expected(seed: Uint8Array, counter: number, blocks: number, hash = 'sha256'): Buffer {
  const digests = Array.from({ length: blocks }, (_, i) => {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(counter + i);
    return createHash(hash).update(seed).update(octets).digest();
  });
  return Buffer.concat(digests);
}

describe('SHA-256 of a seed and a counter in four lanes', () => {
  for (const [counter, blocks] of [
    [0, 0],
    [0, 1],
    [3, 5],
    [255, 8],
    [65_530, 4099],
    [2 ** 31 - 9, 7],
  ] as const) {
    it(`given counter ${counter} and ${blocks} blocks, when hashed, then they are those of OpenSSL`, () => {
      const seed = new Uint8Array(randomBytes(32));
      const found = Buffer.from(sha256Blocks(seed, counter, blocks)).toString('hex');
      expect(found).to.equal(expected(seed, counter, blocks).toString('hex'));
    });
  }

  it('given a seed of another length, when hashed, then it is a mistake of the caller', () => {
    expect(() => sha256Blocks(new Uint8Array(31), 0, 1)).to.throw(RangeError);
  });
});

describe('Pseudo-random streams', () => {
  for (const [name, hash, length] of [
    ['SHA-256', 'sha256', 32],
    ['SHA-384', 'sha384', 48],
    ['SHA-512', 'sha512', 64],
  ] as const) {
    it(`given ${name}, when read in pieces of all sizes, then it is one stream of digests`, () => {
      const seed = new Uint8Array(randomBytes(length));
      const stream = new PseudoRandomStream(name, seed);
      const pieces = [1, 31, 32, 33, 0, 7, 160_000, 45, 3].map((octets) => stream.read(octets));
      const found = Buffer.concat(pieces);
      const all = expected(seed, 0, Math.ceil(found.length / length), hash).subarray(0, found.length);
      expect(found.equals(all)).to.equal(true);
    });
  }
});

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';
import fc from 'fast-check';

import {
  equalDigests,
  hashFile,
  niUri,
  parseDigest,
  parseNiUri,
  urlSafeBase64,
} from '../../../tasks/election/hash.ts';

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

describe('the hashes of an election', () => {
  it('given the example of RFC 6920, section 8.1, then its URI is read', () => {
    const hello = 'ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk';
    expect(parseNiUri(hello)).to.deep.equal(digestOf('Hello World!'));
  });

  it('given any digest, then its URI is padded as the original writes it, and read back (EO-30, EO-41)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        expect(niUri(digest)).to.match(/^ni:\/\/\/sha-256;[A-Za-z0-9_-]{43}=$/);
        expect(parseNiUri(niUri(digest))).to.deep.equal(Buffer.from(digest));
        expect(parseDigest(urlSafeBase64(digest))).to.deep.equal(Buffer.from(digest));
      }),
    );
  });

  it('given other spellings or other hashes, then nothing is read', () => {
    const good = niUri(digestOf('x'));
    const spoiled = [
      good.replace('sha-256', 'sha-1'),
      good.replace('ni:', 'NI:'),
      `${good}=`,
      good.slice(0, -3),
      good.replace(/.=$/, '9='),
      ` ${good}`,
      `${good}\n`,
      good.replace(/[A-Za-z0-9]=$/, '+='),
    ];
    for (const text of spoiled) expect(parseNiUri(text), text).to.equal(undefined);
  });

  it('given a file, then its hash is that of its bytes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'conclave-hash-'));
    try {
      const bytes = Buffer.alloc(700_000, 'ballots');
      await writeFile(join(folder, 'file'), bytes);
      expect(await hashFile(join(folder, 'file'))).to.deep.equal(createHash('sha256').update(bytes).digest());
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('given digests that differ in a bit or in length, then they are not equal', () => {
    const digest = digestOf('x');
    const other = Buffer.from(digest);
    other[31]! ^= 1;
    expect(equalDigests(digest, Buffer.from(digest))).to.equal(true);
    expect(equalDigests(digest, other)).to.equal(false);
    expect(equalDigests(digest, digest.subarray(1))).to.equal(false);
  });
});

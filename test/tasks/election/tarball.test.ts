import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';

import { expect } from 'chai';
import fc from 'fast-check';
import tar from 'tar-stream';

import { gzipStored } from '../../../tasks/election/gzip-stored.ts';
import { hashFile } from '../../../tasks/election/hash.ts';
import { type ExtractOptions, extractTarball } from '../../../tasks/election/tar-extract.ts';
import {
  ArchiveRefused,
  checkName,
  FIXED_MTIME,
  readHeader,
  writeHeader,
} from '../../../tasks/election/tar-format.ts';
import { hashFileText, type TarballMember, writeTarball } from '../../../tasks/election/tarball.ts';

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** The entries of a tar archive as another implementation reads them. */
async function readByAnother(archive: Buffer): Promise<{ header: tar.Header; content: Buffer }[]> {
  const entries: { header: tar.Header; content: Buffer }[] = [];
  const extract = tar.extract();
  Readable.from([archive]).pipe(extract);
  for await (const entry of extract)
    entries.push({
      header: entry.header,
      content: await bytesOf(entry as unknown as AsyncIterable<Uint8Array>),
    });
  return entries;
}

/** An archive by another implementation, for what ours would never write. */
async function packByAnother(
  entries: (Partial<tar.Header> & { name: string; content?: string | Buffer })[],
): Promise<Buffer> {
  const pack = tar.pack();
  const bytes = bytesOf(pack as unknown as AsyncIterable<Uint8Array>);
  for (const { content, ...header } of entries) pack.entry(header as tar.Header, content ?? '');
  pack.finalize();
  return await bytes;
}

describe('the tally archive', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-tar-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  /** A tally's files, made in a folder of their own in the order given. */
  async function tallyFiles(name: string, order: readonly string[]): Promise<TarballMember[]> {
    const proofs = join(folder, name, 'roProof');
    await mkdir(proofs, { recursive: true });
    for (const file of order) {
      await writeFile(join(proofs, file), Buffer.alloc(file.length * 40_000, file));
      await utimes(join(proofs, file), 1, Math.random() * 1e9);
    }
    return [
      { name: '0-abc/proofs', path: proofs },
      { name: 'questions_json', bytes: Buffer.from('[]') },
      { name: '0-abc/plaintexts_json', bytes: Buffer.alloc(0) },
    ];
  }

  describe('when it is written (EO-39)', () => {
    it('given the same contents from elsewhere, of other times and in another order, then it has the same bytes', async () => {
      const one = await writeTarball(
        join(folder, '1.tar.gz'),
        await tallyFiles('a', ['x.bt', 'yy.bt', 'z.bt']),
      );
      const members = await tallyFiles('elsewhere', ['z.bt', 'x.bt', 'yy.bt']);
      const two = await writeTarball(join(folder, '2.tar.gz'), members.reverse());
      expect(two).to.deep.equal(one);
      expect(await hashFile(join(folder, '2.tar.gz'))).to.deep.equal(one.sha256);
      expect((await stat(join(folder, '1.tar.gz'))).size).to.equal(one.bytes);
      expect(await readdir(folder)).to.not.include('1.tar.gz.part');
    });

    it('given any archive, then other implementations read it, with the fixed metadata', async () => {
      await writeTarball(join(folder, 't.tar.gz'), await tallyFiles('a', ['x.bt', 'y.bt']));
      const gzip = await readFile(join(folder, 't.tar.gz'));
      expect(gzip.readUInt32LE(4)).to.equal(FIXED_MTIME).and.equal(1394060400);
      const entries = await readByAnother(gunzipSync(gzip));
      expect(entries.map(({ header }) => header.name)).to.deep.equal(
        [
          '0-abc',
          '0-abc/plaintexts_json',
          '0-abc/proofs',
          '0-abc/proofs/x.bt',
          '0-abc/proofs/y.bt',
          'questions_json',
        ].map((name) => name + (name === '0-abc' || name === '0-abc/proofs' ? '/' : '')),
      );
      for (const { header } of entries) {
        expect(header).to.include({ uid: 1000, gid: 100, uname: '', gname: '' });
        expect(header.mtime!.getTime()).to.equal(FIXED_MTIME * 1000);
        expect(header.mode).to.equal(header.type === 'directory' ? 0o755 : 0o644);
      }
      expect(entries[3]!.content).to.deep.equal(Buffer.alloc(160_000, 'x.bt'));
    });

    it('given its hash file, then it is URL-safe base64 with padding (EO-40)', async () => {
      const written = await writeTarball(join(folder, 't.tar.gz'), [{ name: 'a', bytes: Buffer.from('a') }]);
      const digest = createHash('sha256')
        .update(await readFile(join(folder, 't.tar.gz')))
        .digest();
      expect(hashFileText(written)).to.equal(
        digest.toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
      );
    });

    it('given a link, a name twice, or a name that leads out, then it is refused and nothing is left', async () => {
      await symlink('/etc/passwd', join(folder, 'link'));
      const bytes = Buffer.from('a');
      const refused: TarballMember[][] = [
        [{ name: 'a', path: join(folder, 'link') }],
        [{ name: 'x', path: folder }],
        [
          { name: 'a', bytes },
          { name: 'a', bytes },
        ],
        [
          { name: 'a', bytes },
          { name: 'a/b', bytes },
        ],
        [{ name: '../a', bytes }],
        [{ name: '/a', bytes }],
      ];
      for (const members of refused) {
        const outcome = await writeTarball(join(folder, 't.tar.gz'), members).catch(
          (error: unknown) => error,
        );
        expect(outcome).to.be.instanceOf(ArchiveRefused);
      }
      expect(await readdir(folder)).to.deep.equal(['link']);
    });

    it('given long names and sizes beyond 8 GiB, then headers say them, and read back', () => {
      const name = `${'d'.repeat(90)}/${'f'.repeat(95)}`;
      for (const size of [0, 511, 8 ** 11 - 1, 8 ** 11, 2 ** 45]) {
        expect(readHeader(writeHeader({ name, type: 'file', size }))).to.deep.equal({
          name,
          type: 'file',
          size,
        });
      }
      expect(() => writeHeader({ name: 'f'.repeat(101), type: 'file', size: 0 })).to.throw(
        ArchiveRefused,
        'too long',
      );
    });
  });

  describe('its gzip, which compresses nothing', () => {
    it('given any input cut in any way, then it is the same bytes, and every reader finds the input in it', async () => {
      const sizes = fc.constantFrom(0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 200_000);
      await fc.assert(
        fc.asyncProperty(sizes, fc.integer({ min: 1, max: 70_000 }), async (size, cut) => {
          const input = Buffer.alloc(size, 'conclave');
          const pieces = Array.from({ length: Math.ceil(size / cut) }, (_, at) =>
            input.subarray(at * cut, (at + 1) * cut),
          );
          const gzip = await bytesOf(gzipStored(Readable.from(pieces)));
          expect(gzip.equals(await bytesOf(gzipStored(Readable.from([input]))))).to.equal(true);
          expect(gunzipSync(gzip).equals(input)).to.equal(true);
        }),
        { numRuns: 25 },
      );
    });
  });

  describe('when one is unpacked (X: tar extraction without path checks)', () => {
    const unpack = (archive: Buffer, options: ExtractOptions = {}) =>
      extractTarball(Readable.from([archive]), join(folder, 'out'), options);

    /** Refused for that reason; nothing stays, neither inside nor outside the directory. */
    async function expectRefused(
      archive: Buffer,
      reason: string,
      options: ExtractOptions = {},
    ): Promise<void> {
      const before = await readdir(folder);
      const outcome = await unpack(archive, options).catch((error: unknown) => error);
      expect(outcome).to.be.instanceOf(ArchiveRefused);
      expect((outcome as Error).message).to.include(reason);
      expect(await readdir(folder)).to.deep.equal(before);
    }

    it('given what we wrote, then every file comes back, and the hash is that of the archive', async () => {
      const written = await writeTarball(join(folder, 't.tar.gz'), await tallyFiles('a', ['x.bt', 'y.bt']));
      const extracted = await extractTarball(join(folder, 't.tar.gz'), join(folder, 'out'));
      expect(extracted.sha256).to.deep.equal(written.sha256);
      expect(extracted.entries.filter(({ type }) => type === 'file').map(({ name }) => name)).to.deep.equal([
        '0-abc/plaintexts_json',
        '0-abc/proofs/x.bt',
        '0-abc/proofs/y.bt',
        'questions_json',
      ]);
      expect(await readFile(join(folder, 'out/0-abc/proofs/y.bt'))).to.deep.equal(
        Buffer.alloc(160_000, 'y.bt'),
      );
    });

    it('given an archive by another program, compressed, cut into single bytes, then it is read', async () => {
      const packed = gzipSync(
        await packByAnother([
          { name: 's/', type: 'directory' },
          { name: 's/privInfo.xml', content: '<x/>' },
        ]),
      );
      const bytes = Readable.from([...packed].map((byte) => Buffer.from([byte])));
      await extractTarball(bytes, join(folder, 'out'), { fileMode: 0o600 });
      expect(await readFile(join(folder, 'out/s/privInfo.xml'), 'utf8')).to.equal('<x/>');
      expect((await stat(join(folder, 'out/s/privInfo.xml'))).mode & 0o777).to.equal(0o600);
      expect((await stat(join(folder, 'out/s'))).mode & 0o777).to.equal(0o700);
    });

    it('given names that lead out or that file systems read differently, then it is refused', async () => {
      for (const name of [
        '../evil',
        '/etc/evil',
        'a/../../evil',
        './a',
        'a//b',
        'a\\..\\b',
        'c:evil',
        'a/.',
        'a\u200b',
        'a\nb',
        'e\u0301',
        'a.',
        'a /b',
      ]) {
        const header = writeHeader({ name: 'x'.repeat(Buffer.byteLength(name)), type: 'file', size: 0 });
        header.write(name, 0);
        await expectRefused(gzipSync(Buffer.concat([withChecksum(header), Buffer.alloc(1024)])), 'the name');
      }
    });

    it('given links, devices or pipes, then it is refused, whatever they point at', async () => {
      for (const type of [
        'symlink',
        'link',
        'character-device',
        'block-device',
        'fifo',
        'contiguous-file',
      ] as const) {
        const archive = await packByAnother([
          { name: 'a', type, linkname: '/etc/passwd' },
          { name: 'a/b', content: 'x' },
        ]);
        await expectRefused(gzipSync(archive), 'neither a plain file nor a directory');
      }
    });

    it('given extended headers, which could rename what follows, then it is refused', async () => {
      const archive = await packByAnother([{ name: 'a', pax: { path: '../../evil' }, content: 'x' }]);
      await expectRefused(gzipSync(archive), 'neither a plain file nor a directory');
    });

    it('given a name twice, in other letters, or as file and directory, then it is refused', async () => {
      for (const names of [
        ['a', 'a'],
        ['a', 'A'],
        ['ab/x', 'aB/y'],
        ['a', 'a/b'],
        ['a/b', 'a'],
        ['D/x', 'd/y'],
      ]) {
        const archive = await packByAnother(names.map((name) => ({ name, content: 'x' })));
        await expectRefused(
          gzipSync(archive),
          names[0] === names[1] || names.some((name) => names.some((other) => other.startsWith(`${name}/`)))
            ? 'two entries'
            : 'one name',
        );
      }
    });

    it('given a bomb, then it is refused by the size of what it unpacks to, or of one file, or by the number of files', async () => {
      const bomb = gzipSync(await packByAnother([{ name: 'zeros', content: Buffer.alloc(20 << 20) }]));
      expect(bomb.length).to.be.lessThan(1 << 16);
      await expectRefused(bomb, 'unpacks to more than', { limits: { maxTotalBytes: 1 << 20 } });
      await expectRefused(bomb, 'is larger than', { limits: { maxFileBytes: 1 << 20 } });
      await expectRefused(bomb, 'it is larger than', { limits: { maxArchiveBytes: 100 } });
      const many = await packByAnother(
        Array.from({ length: 20 }, (_, at) => ({ name: `f${at}`, content: 'x' })),
      );
      await expectRefused(gzipSync(many), 'more than 10 entries', { limits: { maxEntries: 10 } });
    });

    it('given an entry that does not belong there, then it is refused', async () => {
      const archive = gzipSync(
        await packByAnother([
          { name: 's/privInfo.xml', content: 'x' },
          { name: 's/other', content: 'x' },
        ]),
      );
      await expectRefused(archive, '"s/other" does not belong', {
        allow: ({ name }) => name.endsWith('/privInfo.xml'),
      });
    });

    it('given an archive cut anywhere, with a bit changed, or with something behind it, then it is refused', async () => {
      const plain = await packByAnother([{ name: 'a', content: 'secret' }]);
      const archive = gzipSync(plain);
      for (const length of [0, 5, 20, archive.length - 9, archive.length - 1]) {
        const outcome = await unpack(archive.subarray(0, length)).catch((error: unknown) => error);
        expect(outcome, `cut at ${length}`).to.be.instanceOf(ArchiveRefused);
      }
      const spoilt = Buffer.from(archive);
      spoilt[archive.length - 6]! ^= 1;
      await expectRefused(spoilt, 'gzip');
      await expectRefused(Buffer.concat([archive, Buffer.from('more')]), 'gzip');
      await expectRefused(Buffer.concat([archive, Buffer.alloc(3)]), 'follows the end');
      await expectRefused(gzipSync(Buffer.concat([plain, Buffer.from('more')])), 'must be zeros');
      await expectRefused(gzipSync(plain.subarray(0, 1024)), 'ends in the middle');
      await expectRefused(gzipSync(Buffer.concat([plain.subarray(0, 1536), plain])), 'follows the end');
      await expectRefused(plain, 'gzip');
      await expectRefused(gzipSync(Buffer.alloc(512, 'x')), 'not a tar archive');
      const header = Buffer.from(plain);
      header[0]! ^= 1;
      await expectRefused(gzipSync(header), 'checksum');
    });

    it('given a directory that exists, then nothing in it is touched', async () => {
      await mkdir(join(folder, 'out'));
      await writeFile(join(folder, 'out/a'), 'mine');
      const outcome = await unpack(gzipSync(await packByAnother([{ name: 'a', content: 'x' }]))).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(outcome).to.equal('EEXIST');
      expect(await readFile(join(folder, 'out/a'), 'utf8')).to.equal('mine');
    });

    it('given an abort or a source that fails, then nothing is left', async () => {
      const archive = gzipSync(await packByAnother([{ name: 'a', content: 'x' }]));
      const aborted = await unpack(archive, { signal: AbortSignal.abort() }).catch(
        (error: Error) => error.name,
      );
      expect(aborted).to.equal('AbortError');
      const missing = await extractTarball(createReadStream(join(folder, 'none')), join(folder, 'out')).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(missing).to.equal('ENOENT');
      expect(await readdir(folder)).to.deep.equal([]);
    });

    it('given any bytes for a header, then it is refused or describes an entry that may be written', () => {
      const valid = writeHeader({ name: 'dir/file', type: 'file', size: 7 });
      const spoilt = fc.array(fc.tuple(fc.nat(511), fc.nat(255)), { maxLength: 6 }).map((changes) => {
        const header = Buffer.from(valid);
        for (const [at, byte] of changes) header.writeUInt8(byte, at);
        return withChecksum(header);
      });
      fc.assert(
        fc.property(fc.oneof(spoilt, fc.uint8Array({ minLength: 512, maxLength: 512 })), (header) => {
          try {
            const entry = readHeader(header);
            if (entry !== undefined) checkName(entry.name);
          } catch (thrown) {
            expect(thrown).to.be.instanceOf(ArchiveRefused);
          }
        }),
        { numRuns: 500 },
      );
    });
  });
});

/** The header with the checksum that it should have. */
function withChecksum(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

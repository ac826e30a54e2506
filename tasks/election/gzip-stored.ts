/**
 * The gzip format (RFC 1952) with its data stored, not compressed (RFC 1951, 3.2.4): the same bytes everywhere.
 *
 * Compressors differ: zlib's output depends on its version, its build, and in the fork that comes with Node on the
 * processor too. Authorities compare the hash of what they publish (D32), so nothing in it may be left to a compressor.
 * What it costs is little: nearly all of a tally are group elements, which do not compress; only the decimal or
 * hexadecimal texts of `ciphertexts_json` would shrink, by half.
 */
import { crc32 } from 'node:zlib';

import { FIXED_MTIME } from './tar-format.ts';

const MAX_STORED = 0xffff;

/** The gzip file of a stream, as a stream. Blocks depend on positions alone, not on how the input is cut. */
export async function* gzipStored(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let sum = 0;
  let length = 0n;
  // One full block is held back, because the last one is marked.
  let block = Buffer.allocUnsafe(MAX_STORED);
  let filled = 0;
  yield gzipHeader();
  for await (const chunk of source) {
    sum = crc32(chunk, sum);
    length += BigInt(chunk.length);
    for (let at = 0; at < chunk.length; ) {
      if (filled === MAX_STORED) {
        yield storedHeader(MAX_STORED, false);
        yield block;
        block = Buffer.allocUnsafe(MAX_STORED);
        filled = 0;
      }
      const part = chunk.subarray(at, at + MAX_STORED - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
    }
  }
  yield storedHeader(filled, true);
  yield block.subarray(0, filled);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(sum, 0);
  trailer.writeUInt32LE(Number(BigInt.asUintN(32, length)), 4);
  yield trailer;
}

/** Deflate; no name; the fixed time (EO-39); no hint of a compressor; operating system "unknown". */
function gzipHeader(): Buffer {
  const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  header.writeUInt32LE(FIXED_MTIME, 4);
  return header;
}

function storedHeader(length: number, last: boolean): Buffer {
  const header = Buffer.alloc(5);
  header[0] = last ? 1 : 0;
  header.writeUInt16LE(length, 1);
  header.writeUInt16LE(~length & 0xffff, 3);
  return header;
}

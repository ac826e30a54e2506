/**
 * The hashes that elections name: `ni:///sha-256;…` URIs (RFC 6920; EO-30, EO-41), the text of hash files (EO-40), the
 * hash of a file that is never whole in memory, and comparison in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';

export const SHA256_BYTES = 32;

const PREFIX = 'ni:///sha-256;';
const DIGEST_TEXT = /^[A-Za-z0-9_-]{43}=?$/;

/** URL-safe base64 **with** padding: what hash files hold, and what the original compares as text (EO-40). */
export function urlSafeBase64(digest: Uint8Array): string {
  return Buffer.from(digest).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The 32 bytes of a URL-safe base64 SHA-256, padded (as the original writes) or not (as RFC 6920 does). */
export function parseDigest(text: string): Buffer | undefined {
  if (!DIGEST_TEXT.test(text)) return undefined;
  const digest = Buffer.from(text, 'base64url');
  // The last character carries two bits too many: only the text whose spare bits are zero names the digest.
  return digest.toString('base64url') === text.replace('=', '') ? digest : undefined;
}

/** `ni:///sha-256;<url-safe base64 with padding>`. */
export function niUri(digest: Uint8Array): string {
  if (digest.length !== SHA256_BYTES) throw new RangeError(`a SHA-256 has 32 bytes, not ${digest.length}`);
  return PREFIX + urlSafeBase64(digest);
}

/** The digest that a `ni:///sha-256;…` URI names; undefined when the text is anything else. */
export function parseNiUri(text: string): Buffer | undefined {
  return text.startsWith(PREFIX) ? parseDigest(text.slice(PREFIX.length)) : undefined;
}

/** The SHA-256 of a file, read as a stream. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<Buffer> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 1 << 18, ...(signal ? { signal } : {}) });
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest();
}

/** Whether two digests are equal, in a time that does not tell where they differ. */
export function equalDigests(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

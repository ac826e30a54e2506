/**
 * Blocks: entries in their order, chained by hashes and signed (D24). The exact bytes are described in
 * `docs/audit-trail.md`; who reads blocks need not trust who wrote them. Pure.
 */
import { verify, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { type Json, parseJson } from '../json.ts';
import { canonicalJson } from './canonical.ts';
import { sha256, type TextHash } from './digest.ts';

export const ENTRY_TAG = 'conclave-log-entry-1\n';
const ENTRIES_TAG = 'conclave-log-entries-1\n';
const BLOCK_TAG = 'conclave-log-block-1\n';
const HEAD_TAG = 'conclave-log-head-1\n';

/** What the first block has in place of its predecessor's hash. */
export const NO_PREVIOUS = '0'.repeat(64);

const hex = z.string().regex(/^[0-9a-f]{64}$/);

const headerSchema = z.strictObject({
  /** Fingerprint of the certificate whose key has signed. */
  certificate: hex,
  /** Of entries. */
  count: z.int().min(1),
  date: z.iso.datetime(),
  /** Hash over the hashes of the entries. */
  entries: hex,
  /** Root URL of the node's queues. */
  node: z.string().max(1024),
  /** From 1. */
  number: z.int().min(1),
  previous: hex,
  version: z.literal(1),
});
export type BlockHeader = z.infer<typeof headerSchema>;

/** What is signed, and what nodes tell each other: a block by its number and hash. */
export interface Head {
  readonly number: number;
  readonly hash: string;
}

export interface SignedHead extends Head {
  readonly node: string;
  /** Fingerprint. */
  readonly certificate: string;
  /** Base64. */
  readonly signature: string;
}

export const signedHeadSchema = z.strictObject({
  number: z.int().min(1),
  hash: hex,
  node: z.string().max(1024),
  certificate: hex,
  signature: z.base64().min(1).max(2048),
}) satisfies z.ZodType<SignedHead>;

/** A block as it is stored, beside its entries. */
export interface Block extends Head {
  readonly date: Date;
  /** Exact text; `hash` is its hash. */
  readonly header: string;
  /** An entry that is made with the block, and comes before the others. */
  readonly leading: string | null;
  readonly signature: string;
}

export interface Signer {
  /** Fingerprint of the certificate. */
  readonly certificate: string;
  sign(data: Uint8Array): Buffer;
}

export function entryHash(line: string, digest: TextHash = sha256): string {
  return digest(ENTRY_TAG + line);
}

/** Over the hashes of all entries of a block, one a line. */
export function entriesHash(hashes: readonly string[], digest: TextHash = sha256): string {
  return digest(`${ENTRIES_TAG}${hashes.join('\n')}`);
}

export function headerHash(header: string, digest: TextHash = sha256): string {
  return digest(BLOCK_TAG + header);
}

/** The bytes that a signature of a head is over. */
export function headStatement({ node, number, hash }: Pick<SignedHead, 'node' | 'number' | 'hash'>): Buffer {
  return Buffer.from(`${HEAD_TAG}${node}\n${number}\n${hash}\n`);
}

export interface BlockParts {
  readonly node: string;
  /** The block before; null: this is the first. */
  readonly previous: Head | null;
  readonly date: Date;
  /** Of the entries, in their order. */
  readonly hashes: readonly string[];
  /** A further entry, before these. */
  readonly leading?: string | null;
  readonly signer: Signer;
  readonly digest?: TextHash | undefined;
}

/** The next block. Its entries were hashed when they were written: it takes little, and one signature. */
export function makeBlock(parts: BlockParts): Block {
  const { node, previous, date, signer, digest = sha256, leading = null } = parts;
  const number = (previous?.number ?? 0) + 1;
  const hashes = leading === null ? parts.hashes : [entryHash(leading, digest), ...parts.hashes];
  const fields: BlockHeader = {
    certificate: signer.certificate,
    count: hashes.length,
    date: date.toISOString(),
    entries: entriesHash(hashes, digest),
    node,
    number,
    previous: previous?.hash ?? NO_PREVIOUS,
    version: 1,
  };
  const header = canonicalJson(fields);
  const hash = headerHash(header, digest);
  const signature = signer.sign(headStatement({ node, number, hash })).toString('base64');
  return { number, hash, date, header, leading, signature };
}

/** Null: it is no header, or not in its one canonical form. */
export function parseHeader(text: string): BlockHeader | null {
  let value: Json;
  try {
    value = parseJson(Buffer.from(text), 2);
  } catch {
    return null;
  }
  const parsed = headerSchema.safeParse(value);
  return parsed.success && canonicalJson(parsed.data) === text ? parsed.data : null;
}

/** A certificate by which signatures of heads are checked. */
export interface HeadCertificate {
  readonly pem: string;
  readonly fingerprint: string;
}

export type SignatureCheck = (certificate: HeadCertificate, head: SignedHead) => boolean;

/** With the algorithm of the certificate's key, as `sign` of the node's identity makes it. */
export const checkSignature: SignatureCheck = ({ pem }, head) => {
  const key = new X509Certificate(pem).publicKey;
  const algorithm = key.asymmetricKeyType?.startsWith('ed') ? null : 'sha256';
  return verify(algorithm, headStatement(head), key, Buffer.from(head.signature, 'base64'));
};

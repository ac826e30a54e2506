/**
 * The file by which operators make their nodes known to each other: one small JSON each way (D22), written by
 * `conclave peers export`, read by `conclave peers add`.
 *
 * The signature, by the certificate's own key, shows that the file was not altered by accident and that its author holds
 * the key. It does not show who the author is: operators compare the fingerprint by telephone.
 */
import { createPrivateKey, type KeyObject, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { ConclaveError } from '../errors.ts';
import { JsonRefused, parseJson } from '../json.ts';
import type { PeerRole } from '../store/peers.ts';
import { fingerprintOf, normaliseFingerprint, parseCertificate } from './certificate.ts';
import { normalisePeerUrl } from './peer-url.ts';

export const MAX_PEER_FILE_BYTES = 64 * 1024;
export const PEER_ROLES = ['authority', 'client', 'operator'] as const satisfies readonly PeerRole[];

/** A peer's name is what `--json` output, logs and file names call it. */
export const peerNameSchema = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,127}$/u, 'letters, digits, spaces and . _ -, at most 128');
export const peerRolesSchema = z
  .array(z.enum(PEER_ROLES))
  .min(1)
  .refine((roles) => new Set(roles).size === roles.length, 'a role is named twice');

const fileSchema = z.strictObject({
  conclave_peer: z.literal(1),
  name: peerNameSchema,
  url: z.string().nullable(),
  roles: peerRolesSchema,
  certificate: z.string(),
  fingerprint: z.string(),
  signature: z.base64().max(4096),
});

/** What a peer file says. The roles are what its author asks for; the reader's operator decides. */
export interface PeerDescription {
  name: string;
  url: string | null;
  roles: PeerRole[];
  certificate: string;
  fingerprint: string;
}

/** The text of the file. Throws `invalid_request` when the key is not the certificate's. */
export function writePeerFile(
  peer: Omit<PeerDescription, 'fingerprint'>,
  privateKey: string | KeyObject,
): string {
  const key = typeof privateKey === 'string' ? createPrivateKey(privateKey) : privateKey;
  const certificate = parseCertificate(peer.certificate);
  if (!certificate.checkPrivateKey(key)) {
    throw new ConclaveError('invalid_request', {
      problems: ['the private key is not that of the certificate'],
    });
  }
  const description: PeerDescription = {
    name: peerNameSchema.parse(peer.name),
    url: peer.url === null ? null : normalisePeerUrl(peer.url),
    roles: peerRolesSchema.parse(peer.roles),
    certificate: certificate.toString(),
    fingerprint: fingerprintOf(certificate.raw),
  };
  const signature = sign(digestFor(key), signedBytes(description), key).toString('base64');
  return `${JSON.stringify({ conclave_peer: 1, ...description, signature }, null, 2)}\n`;
}

/** Throws `invalid_request` naming every problem: form, fingerprint, signature. */
export function readPeerFile(bytes: Uint8Array): PeerDescription {
  if (bytes.length > MAX_PEER_FILE_BYTES) throw refuse([`larger than ${MAX_PEER_FILE_BYTES} bytes`]);
  const parsed = fileSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) {
    throw refuse(parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'file'}: ${message}`));
  }
  const { signature, conclave_peer: _version, ...file } = parsed.data;
  const certificate = parseCertificate(file.certificate);
  const fingerprint = fingerprintOf(certificate.raw);
  if (normaliseFingerprint(file.fingerprint) !== fingerprint) {
    throw refuse([`fingerprint: the certificate has ${fingerprint}, the file says ${file.fingerprint}`]);
  }
  const key = certificate.publicKey;
  if (!verify(digestFor(key), signedBytes(file), key, Buffer.from(signature, 'base64'))) {
    throw refuse(['signature: it does not fit; the file was altered, or its author does not hold the key']);
  }
  return {
    name: file.name,
    url: file.url === null ? null : normalisePeerUrl(file.url),
    roles: file.roles,
    certificate: certificate.toString(),
    fingerprint,
  };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, 8);
  } catch (reason) {
    if (reason instanceof JsonRefused) throw refuse([`not JSON: ${reason.message}`]);
    throw reason;
  }
}

/** A domain tag and the fields as a JSON array: one unambiguous text for one description. */
function signedBytes(peer: PeerDescription): Buffer {
  const { name, url, roles, certificate, fingerprint } = peer;
  return Buffer.from(JSON.stringify(['conclave peer file', 1, name, url, roles, certificate, fingerprint]));
}

/** Ed25519 and Ed448 hash by themselves. */
function digestFor(key: KeyObject): string | null {
  return key.asymmetricKeyType?.startsWith('ed') ? null : 'sha256';
}

function refuse(problems: string[]): ConclaveError {
  return new ConclaveError('invalid_request', {
    problems: problems.map((problem) => `peer file: ${problem}`),
  });
}

/**
 * Certificates as this protocol uses them: an exact thing to recognise a peer by (D22), never a chain to follow.
 * A certificate's identity is its *fingerprint*, the lower-case hex SHA-256 of its DER form. Its dates and names are
 * shown to operators and decide nothing: a pinned certificate is trusted from the moment it is added until it is removed.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { ConclaveError } from '../errors.ts';

/** A certificate by which a peer is recognised. */
export interface PinnedCertificate {
  pem: string;
  fingerprint: string;
  /** Its end of validity, ISO 8601 in UTC. */
  not_after: string;
}

const MAX_PEM_LENGTH = 32 * 1024;
const PEM = /^\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----\s*$/;

export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** In pairs, as operators read it to each other over the phone. */
export function readableFingerprint(fingerprint: string): string {
  return (fingerprint.toUpperCase().match(/../g) ?? []).join(':');
}

/** Accepts the forms that people paste: with colons or spaces, of any case. */
export function normaliseFingerprint(text: string): string {
  return text.replaceAll(/[\s:]/g, '').toLowerCase();
}

/** Reads exactly one PEM certificate. Throws `invalid_request`. */
export function parseCertificate(pem: string): X509Certificate {
  const refuse = (problem: string) =>
    new ConclaveError('invalid_request', { problems: [`certificate: ${problem}`] });
  if (pem.length > MAX_PEM_LENGTH) throw refuse(`longer than ${MAX_PEM_LENGTH} characters`);
  const base64 = PEM.exec(pem)?.[1];
  if (base64 === undefined) throw refuse('expected exactly one PEM block -----BEGIN CERTIFICATE-----');
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    throw refuse('the PEM block is not an X.509 certificate');
  }
}

/** The pinned form, with the PEM text normalised. Throws `invalid_request`. */
export function pinCertificate(pem: string): PinnedCertificate {
  const certificate = parseCertificate(pem);
  const end = certificate.validToDate;
  if (Number.isNaN(end.getTime()))
    throw new ConclaveError('invalid_request', { problems: ['certificate: its end of validity is no date'] });
  return {
    pem: certificate.toString(),
    fingerprint: fingerprintOf(certificate.raw),
    not_after: end.toISOString(),
  };
}

/**
 * The PEM text in the header of a TLS-terminating proxy (D23): tab-indented lines as the original's gateway writes
 * them, joined lines, or URL-encoded.
 */
export function certificateFromHeader(value: string): X509Certificate {
  let text = value;
  if (text.includes('%')) {
    try {
      text = decodeURIComponent(text);
    } catch {
      throw new ConclaveError('invalid_request', { problems: ['certificate header: bad URL encoding'] });
    }
  }
  return parseCertificate(text.replaceAll('\t', '\n'));
}

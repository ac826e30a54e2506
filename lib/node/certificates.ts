/*
 * Makes and shows a node's own certificate (D22): self-signed, because peers pin exactly it and follow no chain.
 *
 * node:crypto makes the key and signs; node-forge's ASN.1 tools build what is signed (RFC 5280), for ECDSA too, which
 * node-forge itself does not know. Recognising the certificates of others is lib/protocol/certificate.ts.
 */
import {
  createHash,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  X509Certificate,
} from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { ConclaveError } from '../errors.ts';
import { certificateFromHeader, fingerprintOf } from '../protocol/certificate.ts';
import { fingerprintWords } from '../protocol/fingerprint-words.ts';

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;

/** In node-forge since 0.6, but not in its type definitions. */
const { bytesFromIP } = forge.util as unknown as { bytesFromIP(address: string): string | null };

const newKeyPair = promisify(generateKeyPair);

const DAY_MILLISECONDS = 86_400_000;
/** Valid from a little earlier than now: peers' clocks differ. */
const CLOCK_SKEW_MILLISECONDS = 3_600_000;
export const DEFAULT_VALIDITY_DAYS = 825;
const MAX_NAME_LENGTH = 64; // RFC 5280, ub-common-name

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuthentication: '1.3.6.1.5.5.7.3.1',
  clientAuthentication: '1.3.6.1.5.5.7.3.2',
} as const;

export type KeyType = 'ecdsa-p256' | 'rsa-2048';

export interface CertificateRequest {
  /** Common name: the node's name, at most 64 characters. */
  readonly name: string;
  /** Host names and IP addresses under which peers reach the node. */
  readonly hosts: readonly string[];
  readonly keyType?: KeyType | undefined;
  readonly validityDays?: number | undefined;
}

export interface NodeCertificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8, unencrypted. */
  readonly privateKey: string;
  readonly fingerprint: string;
}

/**
 * A fresh key with its self-signed certificate.
 *
 * @throws ConclaveError `usage` for a name or host that no certificate can carry
 */
export async function createNodeCertificate(request: CertificateRequest): Promise<NodeCertificate> {
  const keyType = request.keyType ?? 'ecdsa-p256';
  checkRequest(request);
  const { publicKey, privateKey } =
    keyType === 'ecdsa-p256'
      ? await newKeyPair('ec', { namedCurve: 'P-256' })
      : await newKeyPair('rsa', { modulusLength: 2048 });
  const algorithm = signatureAlgorithm(keyType);
  const body = certificateBody(request, publicKey, algorithm);
  const signature = sign('sha256', der(body), privateKey);
  const whole = sequence(body, algorithm, bitString(signature));
  const certificate = new X509Certificate(der(whole));
  return {
    certificate: certificate.toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    fingerprint: fingerprintOf(certificate.raw),
  };
}

const HOST_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

function checkRequest({ name, hosts, validityDays }: CertificateRequest): void {
  const refuse = (reason: string): never => {
    throw new ConclaveError('usage', { reason });
  };
  if (name === '' || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name)) {
    refuse(`a certificate's name has 1 to ${MAX_NAME_LENGTH} printable characters`);
  }
  if (hosts.length === 0) refuse('a certificate needs at least one host name or IP address');
  for (const host of hosts) {
    if (isIP(host) === 0 && !HOST_NAME.test(host))
      refuse(`"${host}" is neither a host name nor an IP address`);
  }
  if (validityDays !== undefined && !(validityDays > 0 && validityDays <= 36_500)) {
    refuse('a certificate is valid for 1 to 36500 days');
  }
}

/** TBSCertificate, RFC 5280, 4.1. */
function certificateBody(request: CertificateRequest, publicKey: KeyObject, algorithm: Asn1): Asn1 {
  const name = sequence(
    set(sequence(objectIdentifier(OID.commonName), universal(asn1.Type.UTF8, Buffer.from(request.name)))),
  );
  const now = Date.now();
  const end = now + (request.validityDays ?? DEFAULT_VALIDITY_DAYS) * DAY_MILLISECONDS;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return sequence(
    tagged(0, [integer(Buffer.from([2]))]), // version 3
    integer(newSerial()),
    algorithm,
    name, // issuer
    sequence(time(now - CLOCK_SKEW_MILLISECONDS), time(end)),
    name, // subject
    asn1.fromDer(forge.util.createBuffer(spki.toString('binary'))),
    tagged(3, [sequence(...extensions(request.hosts, spki))]),
  );
}

/**
 * No authority over other certificates: where a peer keeps a pool of trusted ones, as the original does, a stolen key
 * must not be able to vouch for anybody else.
 */
function extensions(hosts: readonly string[], spki: Buffer): Asn1[] {
  const digitalSignature = Buffer.from([7, 0b1000_0000]); // seven unused bits
  const purposes = [OID.serverAuthentication, OID.clientAuthentication].map(objectIdentifier);
  const keyIdentifier = createHash('sha256').update(spki).digest().subarray(0, 20); // RFC 7093, method 4
  return [
    extension(OID.basicConstraints, sequence(), true),
    extension(OID.keyUsage, universal(asn1.Type.BITSTRING, digitalSignature), true),
    extension(OID.extendedKeyUsage, sequence(...purposes)),
    extension(OID.subjectAlternativeName, sequence(...hosts.map(alternativeName))),
    extension(OID.subjectKeyIdentifier, universal(asn1.Type.OCTETSTRING, keyIdentifier)),
  ];
}

function extension(oid: string, value: Asn1, critical = false): Asn1 {
  const flag = critical ? [universal(asn1.Type.BOOLEAN, Buffer.from([0xff]))] : [];
  return sequence(objectIdentifier(oid), ...flag, universal(asn1.Type.OCTETSTRING, der(value)));
}

/** GeneralName: dNSName [2], iPAddress [7]. */
function alternativeName(host: string): Asn1 {
  const family = isIP(host);
  if (family === 0) return primitive(2, Buffer.from(host.toLowerCase(), 'latin1'));
  const bytes = bytesFromIP(host);
  if (bytes === null) throw new ConclaveError('usage', { reason: `"${host}" is no IP address` });
  return primitive(7, Buffer.from(bytes, 'binary'));
}

function signatureAlgorithm(keyType: KeyType): Asn1 {
  if (keyType === 'ecdsa-p256') return sequence(objectIdentifier(OID.ecdsaWithSha256));
  return sequence(objectIdentifier(OID.rsaWithSha256), universal(asn1.Type.NULL, Buffer.alloc(0)));
}

/** 128 random bits, positive, and of the same length always. */
function newSerial(): Buffer {
  const serial = randomBytes(17);
  serial[0] = 0x01;
  return serial;
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
function time(milliseconds: number): Asn1 {
  const digits = `${new Date(milliseconds).toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
  return digits < '2050'
    ? universal(asn1.Type.UTCTIME, Buffer.from(digits.slice(2)))
    : universal(asn1.Type.GENERALIZEDTIME, Buffer.from(digits));
}

function universal(type: forge.asn1.Type, value: Buffer): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, value.toString('binary'));
}

function sequence(...parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, parts);
}

function set(...parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, parts);
}

function tagged(tag: number, parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, true, parts);
}

function primitive(tag: number, value: Buffer): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, false, value.toString('binary'));
}

function integer(value: Buffer): Asn1 {
  return universal(asn1.Type.INTEGER, value);
}

function bitString(value: Buffer): Asn1 {
  return universal(asn1.Type.BITSTRING, Buffer.concat([Buffer.from([0]), value]));
}

function objectIdentifier(oid: string): Asn1 {
  return universal(asn1.Type.OID, Buffer.from(asn1.oidToDer(oid).getBytes(), 'binary'));
}

function der(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'binary');
}

/**
 * Writes a certificate (mode 0644) and its key (mode 0600) into files that must not exist yet: a key is never
 * overwritten.
 *
 * @throws ConclaveError `usage` when one of them exists
 */
export async function writeNodeCertificate(
  made: NodeCertificate,
  files: { readonly certificate: string; readonly key: string },
): Promise<void> {
  await writeNew(files.key, made.privateKey, 0o600);
  try {
    await writeNew(files.certificate, made.certificate, 0o644);
  } catch (error) {
    await rm(files.key);
    throw error;
  }
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new ConclaveError('usage', { reason: `${path} exists already, and is not overwritten` });
  });
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What an operator wants to see of a certificate. */
export interface CertificateSummary {
  readonly subject: string;
  /** `dns:host` and `ip:address`. */
  readonly names: readonly string[];
  readonly not_before: string;
  readonly not_after: string;
  /** `ec prime256v1`, `rsa 2048`, … */
  readonly key: string;
  readonly fingerprint: string;
  readonly words: readonly string[];
}

/**
 * @param pem one certificate, also with tabs or URL-encoded, as gateways send it
 * @throws ConclaveError `invalid_request`
 */
export function describeCertificate(pem: string): CertificateSummary {
  const certificate = certificateFromHeader(pem);
  const fingerprint = fingerprintOf(certificate.raw);
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const size = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength ?? '';
  return {
    subject: certificate.subject?.replaceAll('\n', ', ') ?? '',
    names: (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((name) => name !== '')
      .map((name) => name.replace(/^DNS:/, 'dns:').replace(/^IP Address:/, 'ip:')),
    not_before: certificate.validFromDate.toISOString(),
    not_after: certificate.validToDate.toISOString(),
    key: `${asymmetricKeyType} ${size}`.trim(),
    fingerprint,
    words: fingerprintWords(fingerprint),
  };
}

/** Whether two texts are different certificates, however each is spelt (FQ-A9). Takes the same time either way. */
export function certificatesDiffer(a: string, b: string): boolean {
  const [left, right] = [a, b].map((pem) =>
    createHash('sha256').update(certificateFromHeader(pem).raw).digest(),
  );
  return !timingSafeEqual(left!, right!);
}

/**
 * Who this node is to others: its certificate with its key, and the name under which its worker processes register.
 *
 * The private key leaves this module only as an option of TLS and as signatures.
 */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { ConclaveError, reasonOf } from '../errors.ts';
import { fingerprintOf, parseCertificate } from '../protocol/certificate.ts';
import type { ServerIdentity } from '../protocol/server.ts';
import { readSecretFile, type Settings } from './settings.ts';

export interface NodeIdentity extends ServerIdentity {
  readonly fingerprint: string;
  readonly notAfter: Date;
  /** A signature of the certificate's key; with SHA-256, unless the key's kind has a hash of its own. */
  sign(data: Uint8Array): Buffer;
}

/**
 * Reads certificate and key, and checks that they belong together.
 *
 * @throws ConclaveError `invalid_settings`
 */
export async function loadIdentity(settings: Settings): Promise<NodeIdentity> {
  const { certificate: file, key: keyFile, minimum_version: minVersion } = settings.tls;
  const pem = await readFile(file, 'utf8').catch((error: unknown) => {
    throw refusal(`tls.certificate: ${reasonOf(error)}; conclave init makes one`);
  });
  const privateKey = (await readSecretFile(keyFile, 'tls.key')).toString('utf8');
  const certificate = parsed(`tls.certificate: ${file}`, () => parseCertificate(pem));
  const key = parsed(`tls.key: ${keyFile}`, () => createPrivateKey(privateKey));
  if (!certificate.checkPrivateKey(key)) {
    throw refusal(`tls.key: ${keyFile} is not the key of the certificate ${file}`);
  }
  return {
    certificate: certificate.toString(),
    privateKey,
    minVersion,
    fingerprint: fingerprintOf(certificate.raw),
    notAfter: certificate.validToDate,
    sign: (data) => sign(digestFor(key), data, key),
  };
}

/** Ed25519 and Ed448 hash by themselves. */
function digestFor(key: KeyObject): string | null {
  return key.asymmetricKeyType?.startsWith('ed') ? null : 'sha256';
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw refusal(`${what} cannot be read: ${reasonOf(error)}`);
  }
}

function refusal(problem: string): ConclaveError {
  return new ConclaveError('invalid_settings', { problems: [problem] });
}

/**
 * The name of this process among a node's workers: `<host>:<pid>:<start>`. The host includes the namespace of process
 * ids where there is one: two containers may share a host name, and the same process id means another process there.
 */
export function workerName(): string {
  return `${thisHost()}:${process.pid}:${startOf(process.pid) ?? Math.round(performance.timeOrigin)}`;
}

/** Whether the process of that name is known to be dead: it ran here, and does not any more. False: nobody knows. */
export function isDeadWorker(name: string): boolean {
  const [, host, pid, start] = /^(.+):(\d+):(\d+)$/.exec(name) ?? [];
  if (host !== thisHost() || pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  // Somebody has that process id: the same process only if it began at the same moment.
  const actual = startOf(Number(pid));
  return actual !== null && actual !== Number(start);
}

function thisHost(): string {
  try {
    return `${hostname()}/${/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? ''}`;
  } catch {
    return hostname();
  }
}

/** Start of a process in clock ticks since the machine's (proc(5), field 22); null where that cannot be known. */
function startOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const field = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return field === undefined ? null : Number(field);
  } catch {
    return null;
  }
}
